#include "rung/ops/foldable_batch_norms.h"
#include "rung/ops/layers.h"
#include "support/gradcheck.h"
#include "support/reference.h"

namespace rung::test {
namespace {

const std::vector<Shape> kShapes = {{4, 1, 5, 3},  {3, 3, 4, 4},  {2, 8, 3, 5},
                                    {2, 16, 6, 6}, {3, 17, 3, 3}, {8, 24, 2, 1}};

struct Flags {
  bool relu = false, frozen = false;
};

/// Operands: x, weight, bias. Running statistics are buffers, off the identity.
Build batch_norm(const Flags& flags) {
  return [=](Graph& graph, const Operands& in) {
    const Shape channels{in[0].channels()};
    const Var mean = graph.parameter("mean", uniform(channels, Rng(20)), Role::buffer);
    const Var var = graph.parameter("var", uniform(channels, Rng(21), 0.5, 2.0), Role::buffer);
    auto op = std::make_unique<BatchNormalization>();
    op->frozen = flags.frozen;
    const Var y = graph.add(std::move(op), {in[0], in[1], in[2], mean, var}, "op");
    return flags.relu ? nn::relu(y, "relu") : y;
  };
}

reference::BatchStatistics running_statistics(std::int64_t channels) {
  const Tensor mean = uniform({channels}, Rng(20)), var = uniform({channels}, Rng(21), 0.5, 2.0);
  return {{mean.data().begin(), mean.data().end()}, {var.data().begin(), var.data().end()}};
}

std::vector<Tensor> operands(const Shape& shape) {
  return {uniform(shape, Rng(1), -1.0, 3.0), uniform({shape[1]}, Rng(2), 0.5, 1.5),
          uniform({shape[1]}, Rng(3))};
}

// Normalized values stay within sqrt(n) of the bias: this far out, relu's kink is never crossed.
void move_bias_away(Tensor& bias) {
  for (std::int64_t c = 0; c < bias.numel(); ++c) bias.data()[c] = c % 2 == 0 ? 15.0f : -15.0f;
}

}  // namespace

TEST_SUITE("ops batch normalization") {
  TEST_CASE("training normalizes by the batch, evaluation by the running statistics") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const auto in = operands(shape);
      const Tensor batch =
          reference::batch_norm(in[0], reference::batch_statistics(in[0]), in[1], in[2], 1e-5);
      const Tensor running =
          reference::batch_norm(in[0], running_statistics(shape[1]), in[1], in[2], 1e-5);
      for (const Setup& setup : setups()) {
        CAPTURE(setup.name);
        const auto values = [&](const Flags& flags, Mode mode) {
          return evaluate(in, batch_norm(flags), setup, mode);
        };
        CHECK(difference(values({}, Mode::train), batch) <= 2e-6);
        CHECK(difference(values({}, Mode::eval), running) <= 2e-6);
        CHECK(difference(values({.frozen = true}, Mode::train), running) <= 2e-6);
        CHECK(difference(values({.relu = true}, Mode::train), reference::relu(batch)) <= 2e-6);
        CHECK(difference(values({.relu = true}, Mode::eval), reference::relu(running)) <= 2e-6);
      }
    }
  }

  TEST_CASE("gradients pass the batch statistics, or not if they are frozen") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      auto in = operands(shape);
      gradcheck(in, batch_norm({}));
      gradcheck(in, batch_norm({.frozen = true}));
      move_bias_away(in[2]);
      gradcheck(in, batch_norm({.relu = true}), {.tolerance = 2e-3});
      gradcheck(in, batch_norm({.relu = true, .frozen = true}), {.tolerance = 2e-3});
    }
  }

  TEST_CASE("running statistics move by momentum towards the mean and the unbiased variance") {
    const Shape shape{3, 17, 3, 3};
    const auto in = operands(shape);
    const auto batch = reference::batch_statistics(in[0]);
    const auto before = running_statistics(17);
    const double n = 27.0;
    for (const Setup& setup : setups()) {
      CAPTURE(setup.name);
      Graph graph = graph_of(in, batch_norm({}), setup.behind_conv);
      Executor executor(graph, setup.options);
      const std::uint64_t version = graph.parameter("mean").version();
      run(executor, Mode::eval);
      CHECK(graph.parameter("mean").version() == version);
      run(executor, Mode::train);
      CHECK(graph.parameter("mean").version() > version);
      for (std::size_t c = 0; c < 17; ++c) {
        CHECK(graph.parameter("mean").value().data()[c] ==
              doctest::Approx(0.9 * before.mean[c] + 0.1 * batch.mean[c]).epsilon(1e-6));
        CHECK(graph.parameter("var").value().data()[c] ==
              doctest::Approx(0.9 * before.variance[c] + 0.1 * batch.variance[c] * n / (n - 1))
                  .epsilon(1e-6));
      }
    }
  }

  TEST_CASE("frozen running statistics do not move") {
    Graph graph = graph_of(operands({2, 8, 3, 5}), batch_norm({.frozen = true}));
    Executor executor(graph);
    const std::uint64_t version = graph.parameter("var").version();
    run(executor, Mode::train);
    CHECK(graph.parameter("var").version() == version);
  }

  TEST_CASE("only a batch norm right behind a layer of its own weights is foldable") {
    Graph graph;
    Var x = nn::conv2d(graph.input("x", {1, 2, 6, 6}), {.out_channels = 3, .kernel = 3}, "conv");
    x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
    graph.set_outputs({nn::batch_norm2d(x, {}, "bn2")});
    const std::vector<FoldablePair> pairs = find_foldable_batch_norms(graph);
    REQUIRE(pairs.size() == 1);
    CHECK(pairs[0].layer->name() == "conv");
    CHECK(pairs[0].batch_norm->name() == "bn1");
  }
}

}  // namespace rung::test
