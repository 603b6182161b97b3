#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/layers.h"
#include "support/gradcheck.h"
#include "support/reference.h"

namespace rung::test {
namespace {

constexpr float kEpsilon = 0.05f;  // large, so that an error in it shows

Tensor variance_of(std::int64_t channels) { return uniform({channels}, Rng(21), 0.5, 2.0); }
Tensor mean_of(std::int64_t channels) { return uniform({channels}, Rng(20)); }

/// Away from zero, every second one negative.
Tensor gamma_of(std::int64_t channels) {
  Tensor gamma = uniform({channels}, Rng(2), 0.5, 1.5);
  for (std::int64_t c = 1; c < channels; c += 2) gamma.data()[c] = -gamma.data()[c];
  return gamma;
}

std::vector<double> factors_of(const Tensor& gamma) {
  return reference::fold_factors(gamma, variance_of(gamma.numel()), kEpsilon);
}

Var buffer(Graph& graph, const char* name, const Tensor& value) {
  return graph.parameter(name, value, Role::buffer);
}

/// Operands: weight, gamma.
Var folded_weight(Graph& graph, const Operands& in) {
  auto op = std::make_unique<FoldedWeight>();
  op->epsilon = kEpsilon;
  return graph.add(std::move(op),
                   {in[0], in[1], buffer(graph, "var", variance_of(in[1].shape()[0]))}, "op");
}

/// Operands: bias, gamma, beta.
Build folded_bias(bool frozen) {
  return [=](Graph& graph, const Operands& in) {
    const std::int64_t channels = in[0].shape()[0];
    auto op = std::make_unique<FoldedBias>();
    op->epsilon = kEpsilon;
    op->frozen = frozen;
    return graph.add(std::move(op),
                     {in[0], in[1], in[2], buffer(graph, "mean", mean_of(channels)),
                      buffer(graph, "var", variance_of(channels))},
                     "op");
  };
}

struct Flags {
  bool relu = false, frozen = false;
  float momentum = 0.0f;  // gradients depend on running_var: it must not move between differences
};

/// Operands: x, gamma, beta, bias of the layer.
Build folded_norm(const Flags& flags) {
  return [=](Graph& graph, const Operands& in) {
    const std::int64_t channels = in[0].channels();
    auto op = std::make_unique<FoldedBatchNormalization>();
    op->epsilon = kEpsilon;
    op->momentum = flags.momentum;
    op->frozen = flags.frozen;
    const Var y = graph.add(std::move(op),
                            {in[0], in[1], in[2], buffer(graph, "mean", mean_of(channels)),
                             buffer(graph, "var", variance_of(channels)), in[3]},
                            "op");
    return flags.relu ? nn::relu(y, "relu") : y;
  };
}

const std::vector<Shape> kShapes = {{4, 1, 5, 3}, {2, 8, 3, 5}, {2, 16, 6, 6}, {3, 17, 3, 3}};

std::vector<Tensor> operands(const Shape& shape) {
  return {uniform(shape, Rng(1), -1.0, 3.0), gamma_of(shape[1]), uniform({shape[1]}, Rng(3)),
          uniform({shape[1]}, Rng(4))};
}

/// What training computes: the batch norm of the layer's own output.
Tensor trained(const std::vector<Tensor>& in) {
  const Tensor u = reference::unfolded(in[0], factors_of(in[1]), in[3]);
  return reference::batch_norm(u, reference::batch_statistics(u), in[1], in[2], kEpsilon);
}

}  // namespace

TEST_SUITE("ops folded batch normalization") {
  TEST_CASE("a folded weight is W gamma / sigma, and its gradients are those of the product") {
    for (const Shape& shape : {Shape{3, 2, 3, 3}, Shape{17, 5}, Shape{8, 1, 3, 3}}) {
      CAPTURE(shape.to_string());
      const std::vector<Tensor> in = {uniform(shape, Rng(1)), gamma_of(shape[0])};
      const Tensor expected = reference::folded_weight(in[0], factors_of(in[1]));
      for (const Mode mode : {Mode::eval, Mode::train})
        CHECK(difference(evaluate(in, folded_weight, setups()[0], mode), expected) <= 1e-6);
      gradcheck(in, folded_weight, setups()[0], {});
    }
  }

  TEST_CASE("a folded bias is beta + (b - mean) gamma / sigma, and 0 while the batch decides") {
    const std::vector<Tensor> in = {uniform({9}, Rng(1)), gamma_of(9), uniform({9}, Rng(3))};
    const Tensor expected = reference::folded_bias(in[0], in[2], mean_of(9), factors_of(in[1]));
    const auto value = [&](bool frozen, Mode mode) {
      return evaluate(in, folded_bias(frozen), setups()[0], mode);
    };
    CHECK(difference(value(false, Mode::eval), expected) <= 1e-6);
    CHECK(difference(value(true, Mode::eval), expected) <= 1e-6);
    CHECK(difference(value(true, Mode::train), expected) <= 1e-6);
    const Tensor trained = value(false, Mode::train);
    for (const float v : trained.data()) CHECK(v == 0.0f);
    gradcheck(in, folded_bias(true), setups()[0], {});
    gradcheck(in, folded_bias(false), setups()[0], {});
  }

  TEST_CASE("training normalizes the unfolded output by the batch, evaluation passes everything") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const auto in = operands(shape);
      const Tensor batch = trained(in);
      for (const Setup& setup : setups()) {
        CAPTURE(setup.name);
        const auto values = [&](const Flags& flags, Mode mode) {
          return evaluate(in, folded_norm(flags), setup, mode);
        };
        CHECK(difference(values({}, Mode::train), batch) <= 3e-6);
        CHECK(difference(values({.relu = true}, Mode::train), reference::relu(batch)) <= 3e-6);
        CHECK(difference(values({}, Mode::eval), in[0]) == 0);
        CHECK(difference(values({.frozen = true}, Mode::train), in[0]) == 0);
        CHECK(difference(values({.relu = true}, Mode::eval), reference::relu(in[0])) == 0);
        CHECK(difference(values({.relu = true, .frozen = true}, Mode::train),
                         reference::relu(in[0])) == 0);
      }
    }
  }

  TEST_CASE("gradients pass the statistics of the batch and the factor that gamma has in x") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      auto in = operands(shape);
      gradcheck(in, folded_norm({}));
      gradcheck(in, folded_norm({.frozen = true}));
      // So far out relu's kink is never crossed.
      for (std::int64_t c = 0; c < shape[1]; ++c) in[2].data()[c] = c % 2 == 0 ? 15.0f : -15.0f;
      gradcheck(in, folded_norm({.relu = true}), {.tolerance = 2e-3});
      in[0] = away_from_zero(shape, Rng(5));
      gradcheck(in, folded_norm({.relu = true, .frozen = true}));
    }
  }

  TEST_CASE("running statistics move towards those of the layer's own output, bias included") {
    const auto in = operands({3, 17, 3, 3});
    const auto batch =
        reference::batch_statistics(reference::unfolded(in[0], factors_of(in[1]), in[3]));
    const Tensor mean = mean_of(17), variance = variance_of(17);
    const double n = 27.0, m = 0.25;
    for (const Setup& setup : setups()) {
      CAPTURE(setup.name);
      Graph graph = graph_of(in, folded_norm({.momentum = 0.25f}), setup.behind_conv);
      Executor executor(graph, setup.options);
      const std::uint64_t version = graph.parameter("mean").version();
      run(executor, Mode::eval);
      CHECK(graph.parameter("mean").version() == version);
      run(executor, Mode::train);
      CHECK(graph.parameter("mean").version() > version);
      for (std::size_t c = 0; c < 17; ++c) {
        CHECK(graph.parameter("mean").value().data()[c] ==
              doctest::Approx((1 - m) * mean.data()[c] + m * batch.mean[c]).epsilon(1e-5));
        CHECK(graph.parameter("var").value().data()[c] ==
              doctest::Approx((1 - m) * variance.data()[c] + m * batch.variance[c] * n / (n - 1))
                  .epsilon(1e-5));
      }
    }
  }

  TEST_CASE("a channel with gamma = 0 passes beta and keeps its statistics") {
    auto in = operands({2, 8, 3, 5});
    in[1].data()[3] = 0.0f;
    Graph graph = graph_of(in, folded_norm({.momentum = 0.1f}));
    Executor executor(graph);
    const Tensor y = run(executor, Mode::train);
    executor.backward(uniform(y.shape(), Rng(7)));
    for (std::int64_t n = 0; n < 2; ++n)
      for (std::int64_t i = 0; i < 15; ++i)
        CHECK(y.data()[(n * 8 + 3) * 15 + i] == in[2].data()[3]);
    CHECK(graph.parameter("mean").value().data()[3] == mean_of(8).data()[3]);
    CHECK(graph.parameter("var").value().data()[3] == variance_of(8).data()[3]);
    CHECK(graph.parameter("mean").value().data()[2] != mean_of(8).data()[2]);
    CHECK(graph.parameter("operand1").grad().data()[3] == 0.0f);
    CHECK(graph.parameter("operand2").grad().data()[3] != 0.0f);
    for (const float v : graph.parameter("operand0").grad().data()) CHECK(std::isfinite(v));
  }

  TEST_CASE("shapes that do not fit are errors that name the node") {
    Graph graph;
    const Var x = graph.input("x", {2, 3, 4, 4});
    const Var three = graph.parameter("three", Tensor(Shape{3}), Role::norm);
    const Var four = graph.parameter("four", Tensor(Shape{4}), Role::norm);
    CHECK_THROWS_WITH_AS(graph.add(std::make_unique<FoldedWeight>(), {x, three, three}, "w"),
                         doctest::Contains("w"), Error);
    CHECK_THROWS_AS(
        graph.add(std::make_unique<FoldedBias>(), {three, three, four, three, three}, "b"), Error);
    CHECK_THROWS_AS(graph.add(std::make_unique<FoldedBatchNormalization>(),
                              {x, three, three, three, three}, "n"),
                    Error);
    CHECK_THROWS_AS(graph.add(std::make_unique<FoldedBatchNormalization>(),
                              {x, three, three, three, three, four}, "n"),
                    Error);
  }
}

namespace {

using Parameters = std::map<std::string, Tensor>;  // values and gradients after a step

struct Layer {
  Shape input, weight;
  bool is_conv = true;
};

/// y = batch norm of a convolution or a linear layer; folded in simulation or not.
Graph layer_and_norm(const Layer& layer, bool folded) {
  Graph graph;
  const Var x = graph.input("x", layer.input);
  const std::int64_t channels = layer.weight[0];
  const auto add = [&](const char* name, const Tensor& value, Role role) {
    return graph.parameter(name, value, role);
  };
  Var w = add("w", uniform(layer.weight, Rng(1)), Role::weight);
  const Var b = add("b", uniform({channels}, Rng(2)), Role::bias);
  const Var gamma = add("gamma", gamma_of(channels), Role::norm);
  const Var beta = add("beta", uniform({channels}, Rng(3)), Role::norm);
  const Var mean = add("mean", mean_of(channels), Role::buffer);
  const Var var = add("var", variance_of(channels), Role::buffer);
  Var applied = b;
  if (folded) {
    w = graph.add(std::make_unique<FoldedWeight>(), {w, gamma, var}, "fw");
    applied = graph.add(std::make_unique<FoldedBias>(), {b, gamma, beta, mean, var}, "fb");
  }
  std::unique_ptr<Op> op = std::make_unique<Gemm>();
  if (layer.is_conv) op = std::make_unique<Conv>();
  Var y = graph.add(std::move(op), {x, w, applied}, "layer");
  if (folded)
    y = graph.add(std::make_unique<FoldedBatchNormalization>(), {y, gamma, beta, mean, var, b},
                  "norm");
  else
    y = graph.add(std::make_unique<BatchNormalization>(), {y, gamma, beta, mean, var}, "norm");
  graph.set_outputs({y});
  return graph;
}

void freeze(Graph& graph) {
  for (Node* node : graph.nodes()) {
    if (auto* op = node->as<BatchNormalization>()) op->frozen = true;
    if (auto* op = node->as<FoldedBatchNormalization>()) op->frozen = true;
    if (auto* op = node->as<FoldedBias>()) op->frozen = true;
  }
  graph.touch();
}

Parameters one_step(Graph graph, const Shape& input, LayoutPolicy layout) {
  Executor executor(graph, {.layout = layout});
  Parameters result;
  const Tensor y = executor.forward(uniform(input, Rng(9)), Mode::train);
  executor.backward(uniform(y.shape(), Rng(10)));
  result["y"] = y;
  result["y in eval"] = executor.forward(uniform(input, Rng(9)));
  for (Parameter* parameter : graph.parameters()) {
    result[parameter->name()] = parameter->value().clone();
    if (parameter->requires_grad()) result["d " + parameter->name()] = parameter->grad();
  }
  return result;
}

}  // namespace

TEST_SUITE("ops folded batch normalization") {
  TEST_CASE("without a quantizer folding in simulation is the layer and its batch norm") {
    const Layer conv{{3, 5, 6, 6}, {16, 5, 3, 3}};
    const Layer linear{{7, 5}, {9, 5}, false};
    for (const Layer& layer : {conv, linear})
      for (const LayoutPolicy layout : {LayoutPolicy::plain, LayoutPolicy::blocked})
        for (const bool frozen : {false, true}) {
          CAPTURE(layer.is_conv);
          CAPTURE(frozen);
          Graph plain = layer_and_norm(layer, false), folded = layer_and_norm(layer, true);
          if (frozen) freeze(plain), freeze(folded);
          const Parameters expected = one_step(std::move(plain), layer.input, layout);
          const Parameters got = one_step(std::move(folded), layer.input, layout);
          REQUIRE(got.size() == expected.size());
          for (const auto& [name, value] : expected) {
            CAPTURE(name);
            if (name == "d b" && !frozen)  // 0, or rounding noise where the mean takes it away
              for (const float v : got.at(name).data()) CHECK(v == 0.0f);
            else
              CHECK(difference(got.at(name), value) <= 1e-5);
          }
        }
  }

  TEST_CASE("channels that have almost vanished stay finite for hundreds of steps") {
    const Layer layer{{4, 3, 6, 6}, {8, 3, 3, 3}};
    Graph graph = layer_and_norm(layer, true);
    for (std::int64_t c = 0; c < 8; ++c)
      graph.parameter("gamma").edit().data()[c] = std::pow(10.0f, -5.0f * static_cast<float>(c));
    Executor executor(graph);
    for (std::uint64_t step = 0; step < 300; ++step) {
      const Tensor y = executor.forward(uniform(layer.input, Rng(step)), Mode::train);
      executor.backward(uniform(y.shape(), Rng(10)));
    }
    for (const Parameter* parameter : std::as_const(graph).parameters())
      for (const float v : parameter->value().data()) CHECK(std::isfinite(v));
    for (const char* name : {"w", "gamma", "beta"})
      for (const float v : graph.parameter(name).grad().data()) CHECK(std::isfinite(v));
  }
}

}  // namespace rung::test
