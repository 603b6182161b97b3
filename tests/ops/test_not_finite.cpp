// NaN and infinity go through every kernel, fused or not, as they go through PyTorch's ops and ONNX
// Runtime's: nothing turns them into numbers that look right.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "rung/rung.h"
#include "support/paths.h"
#include "support/quant_helpers.h"

using namespace rung;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A network [2, C, 12, 12] of the ops in question.
struct Case {
  std::string name;
  std::int64_t channels;
  std::function<Var(Var x)> build;
};

/// Without padding: whether a weight times a zero that is only imagined is NaN, libraries see
/// differently.
Var conv(Var x, std::int64_t outputs, std::int64_t kernel, std::int64_t stride, std::int64_t groups,
         std::string_view name) {
  return nn::conv2d(
      x, {.out_channels = outputs, .kernel = kernel, .stride = stride, .groups = groups}, name);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](std::string name, std::int64_t channels, std::function<Var(Var)> build) {
    all.push_back({std::move(name), channels, std::move(build)});
  };
  const auto conv_relu = [&](std::string name, std::int64_t inputs, std::int64_t outputs,
                             std::int64_t kernel, std::int64_t stride, std::int64_t groups) {
    add("conv, relu: " + name, inputs,
        [=](Var x) { return nn::relu(conv(x, outputs, kernel, stride, groups, "conv"), "relu"); });
    add("conv, add, relu: " + name, inputs, [=](Var x) {
      const Var y = conv(x, outputs, kernel, stride, groups, "conv");
      return nn::relu(nn::add(y, conv(x, outputs, kernel, stride, groups, "other"), "add"), "relu");
    });
    add("conv, batch norm, relu: " + name, inputs, [=](Var x) {
      const Var y = conv(x, outputs, kernel, stride, groups, "conv");
      return nn::relu(nn::batch_norm2d(y, {}, "bn"), "relu");
    });
    add("conv, batch norm, add, relu: " + name, inputs, [=](Var x) {
      const Var y = nn::batch_norm2d(conv(x, outputs, kernel, stride, groups, "conv"), {}, "bn");
      return nn::relu(nn::add(y, conv(x, outputs, kernel, stride, groups, "other"), "add"), "relu");
    });
  };
  conv_relu("an image", 3, 16, 3, 1, 1);
  conv_relu("3 x 3", 32, 32, 3, 1, 1);
  conv_relu("3 x 3, stride 2", 16, 32, 3, 2, 1);
  conv_relu("1 x 1", 32, 16, 1, 1, 1);
  conv_relu("odd channels", 5, 7, 3, 1, 1);
  conv_relu("depthwise", 32, 32, 3, 1, 32);
  conv_relu("groups", 32, 32, 3, 1, 2);
  add("two convolutions", 16, [](Var x) {
    const Var a = nn::relu(conv(x, 16, 1, 1, 1, "a"), "relu");
    const Var y = nn::max_pool2d(a, {.kernel = 2}, "pool");
    return nn::relu(conv(y, 16, 1, 1, 1, "b"), "relu2");
  });
  add("transposed", 8, [](Var x) {
    return nn::relu(nn::conv_transpose2d(x, {.out_channels = 8, .kernel = 2, .stride = 2}, "conv"),
                    "relu");
  });
  add("relu", 5, [](Var x) { return nn::relu(x, "relu"); });
  add("relu6", 5, [](Var x) { return nn::relu6(x, "clip"); });
  add("add, relu", 5, [](Var x) { return nn::relu(nn::add(x, x, "add"), "relu"); });
  add("max pool", 20, [](Var x) { return nn::max_pool2d(x, {.kernel = 3, .padding = 1}, "pool"); });
  add("average pool", 20, [](Var x) { return nn::avg_pool2d(x, {.kernel = 3}, "pool"); });
  add("global pool", 20, [](Var x) { return nn::global_avg_pool(x, "pool"); });
  add("gemm, relu", 3, [](Var x) {
    return nn::relu(nn::linear(nn::flatten(x, "flat"), {.out_features = 7}, "fc"), "relu");
  });
  add("activations", 5, [](Var x) {
    const Var a = nn::hardswish(nn::leaky_relu(x, {.alpha = 0.1f}, "leaky"), "hardswish");
    const Var b = nn::elu(nn::hardsigmoid(a, {}, "hardsigmoid"), {}, "elu");
    return nn::sigmoid(nn::tanh(b, "tanh"), "sigmoid");
  });
  add("concat, softmax", 5, [](Var x) {
    return nn::softmax(nn::concat({x, nn::relu(x, "relu")}, {}, "concat"), {.axis = 1}, "softmax");
  });
  return all;
}

Graph graph_of(const Case& each) {
  Graph graph;
  graph.set_outputs({each.build(graph.input("x", {2, each.channels, 12, 12}))});
  std::uint64_t seed = 1;
  for (Parameter* parameter : graph.parameters()) {
    const double size = parameter->role() == Role::weight ? 0.3 : 0.1;
    parameter->edit().copy_from(normal(parameter->shape(), seed++, size));
    if (parameter->name().ends_with("var"))
      for (float& value : parameter->edit().data()) value = 1.0f;
  }
  return graph;
}

enum class Sums {
  plain,   ///< each output is the sum of its products
  shared,  ///< Winograd's: what is not finite spreads over a tile
};

/// Returns how many numbers of `got` do not say what `expected` does.
std::int64_t wrong(const Tensor& got, const Tensor& expected, Sums sums) {
  REQUIRE(got.shape() == expected.shape());
  std::int64_t count = 0;
  for (std::size_t i = 0; i < got.data().size(); ++i) {
    const float a = got.data()[i], b = expected.data()[i];
    const bool same = std::isnan(b)   ? std::isnan(a)
                      : std::isinf(b) ? a == b
                                      : std::abs(a - b) <= 1e-4f * std::max(1.0f, std::abs(b));
    const bool excused = sums == Sums::shared && !std::isfinite(a);
    count += same || excused ? 0 : 1;
  }
  return count;
}

/// Nothing fused, row-major, oneDNN's plain convolutions: one op after the other.
const ExecutorOptions kPlain{.layout = LayoutPolicy::plain,
                             .memory = MemoryPolicy::keep_all,
                             .conv_algorithm = ConvAlgorithm::direct,
                             .fuse = false,
                             .exact = false};

void compare(Graph& graph, const Tensor& x, Mode mode, bool large) {
  Graph other = graph.clone();
  const Tensor expected = Executor(other, kPlain).forward(x, mode);
  for (const ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd})
    for (const LayoutPolicy layout : {LayoutPolicy::blocked, LayoutPolicy::plain}) {
      CAPTURE(static_cast<int>(algorithm));
      CAPTURE(static_cast<int>(layout));
      Graph own = graph.clone();
      Executor executor(own, {.layout = layout, .conv_algorithm = algorithm});
      CAPTURE(to_string(executor.plan(std::vector{x.shape()}, mode)));
      const Sums sums = algorithm == ConvAlgorithm::winograd ? Sums::shared : Sums::plain;
      // What is nearly too large overflows in other places there.
      if (large && sums == Sums::shared) continue;
      CHECK(wrong(executor.forward(x, mode), expected, sums) == 0);
    }
}

}  // namespace

TEST_SUITE("ops not finite") {
  TEST_CASE("what one op after the other makes of NaN and infinity, every fused kernel makes") {
    for (const Case& each : cases())
      for (const Mode mode : {Mode::eval, Mode::train})
        for (const float poison : {kNaN, kInfinity, -kInfinity, 3e38f}) {
          CAPTURE(each.name);
          CAPTURE(static_cast<int>(mode));
          CAPTURE(poison);
          Graph graph = graph_of(each);
          const Tensor healthy = normal({2, each.channels, 12, 12}, 9);
          Tensor x = healthy.clone();
          x.data()[200] = poison;
          compare(graph, x, mode, std::isfinite(poison));
          for (Parameter* parameter : graph.parameters()) {
            // Of batch norms only what is not finite: the others overflow where rounding decides.
            if (parameter->name().starts_with("bn") && std::isfinite(poison)) continue;
            if (parameter->name().ends_with("var")) continue;
            CAPTURE(parameter->name());
            Graph poisoned = graph.clone();
            poisoned.parameter(parameter->name()).edit().data()[0] = poison;
            compare(poisoned, healthy, mode, std::isfinite(poison));
          }
        }
  }

  TEST_CASE("Relu, Clip and pooling keep NaN, as ONNX Runtime and PyTorch do") {
    Graph graph;
    const Var x = graph.input("x", {1, 1, 2, 2});
    graph.set_outputs({nn::relu(x, "relu"), nn::relu6(x, "clip"),
                       nn::max_pool2d(x, {.kernel = 2}, "max"),
                       nn::avg_pool2d(x, {.kernel = 2}, "avg")});
    const Tensor data({1, 1, 2, 2}, std::vector<float>{1.0f, kNaN, -kInfinity, kInfinity});
    for (const Mode mode : {Mode::eval, Mode::train}) {
      const auto y = Executor(graph).forward(std::span(&data, 1), mode);
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(y[i].data()[0] == 1.0f);
        CHECK(std::isnan(y[i].data()[1]));
        CHECK(y[i].data()[2] == 0.0f);
        CHECK(y[i].data()[3] == (i == 0 ? kInfinity : 6.0f));
      }
      CHECK(std::isnan(y[2].item()));
      CHECK(std::isnan(y[3].item()));
    }
  }

  TEST_CASE("a network whose weights, images or activations are not finite has no finite loss") {
    const auto loss_of = [](Graph& graph, const Tensor& x, Mode mode) {
      return nn::cross_entropy(Executor(graph).forward(x, mode), std::vector<std::int64_t>{1, 2})
          .value;
    };
    for (const bool folded : {false, true})
      for (const Mode mode : {Mode::eval, Mode::train}) {
        const models::ModelOptions options{.in_channels = 3, .num_classes = 10, .image_size = 32};
        Graph graph = folded ? models::resnet8(options, Rng(1)) : models::lenet(options, Rng(1));
        if (folded) ptq::fold_all_batch_norms(graph);
        const Tensor x = normal({2, 3, 32, 32}, 4);
        CHECK(std::isfinite(loss_of(graph, x, mode)));
        Tensor bad = x.clone();
        bad.data()[7] = kNaN;
        CHECK(std::isnan(loss_of(graph, bad, mode)));
        Graph one = graph.clone();
        one.parameter(one.parameters()[0]->name()).edit().data()[3] = kNaN;
        CHECK(std::isnan(loss_of(one, x, mode)));
        // Numbers that overflow on the way.
        Graph large = graph.clone();
        for (Parameter* parameter : large.parameters())
          if (parameter->role() == Role::weight)
            for (float& value : parameter->edit().data()) value *= 1e12f;
        CHECK(!std::isfinite(loss_of(large, x, mode)));
      }
  }

  TEST_CASE("NaN in an imported network comes out as NaN, as in ONNX Runtime") {
    const Graph graph = io::load_onnx(paths::golden_dir() + "/cases/not_finite/nan_conv_relu.onnx");
    for (const Mode mode : {Mode::eval, Mode::train}) {
      Graph own = graph.clone();
      const Tensor y = Executor(own).forward(normal({2, 3, 32, 32}, 4), mode);
      CHECK(std::ranges::all_of(y.data(), [](float v) { return std::isnan(v); }));
    }
  }

  TEST_CASE("a convolution is healthy again after NaN") {
    const Case each = cases()[0];
    Graph graph = graph_of(each);
    Executor executor(graph);
    const Tensor x = normal({2, 3, 12, 12}, 9);
    const Tensor before = executor.forward(x);
    Tensor bad = x.clone();
    bad.data()[0] = kNaN;
    executor.forward(bad);
    CHECK(std::ranges::equal(executor.forward(x).data(), before.data()));
    Parameter& weight = graph.parameter("conv.weight");
    const float kept = weight.value().data()[0];
    weight.edit().data()[0] = kNaN;
    CHECK(std::isnan(executor.forward(x).data()[0]));
    weight.edit().data()[0] = kept;
    CHECK(std::ranges::equal(executor.forward(x).data(), before.data()));
  }

  TEST_CASE("quantizers keep NaN, in training and in evaluation, and clip infinity") {
    for (const Mode mode : {Mode::eval, Mode::train})
      for (const ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd}) {
        const Graph graph =
            models::resnet8({.in_channels = 3, .num_classes = 5, .image_size = 12}, Rng(1));
        QuantizationSimModel sim(graph, {});
        const Tensor x = normal({2, 3, 12, 12}, 4);
        sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
        const auto logits = [&](const Tensor& images) {
          return Executor(sim.graph(), {.conv_algorithm = algorithm}).forward(images, mode);
        };
        const auto all = [](const Tensor& tensor, auto&& what) {
          return std::ranges::all_of(tensor.data(), what);
        };
        const auto is_nan = [](float v) { return std::isnan(v); };
        Tensor bad = x.clone();
        for (std::size_t i = 0; i < bad.data().size() / 2; ++i) bad.data()[i] = kNaN;
        CHECK(std::ranges::all_of(logits(bad).data().first(5), is_nan));
        Tensor large = x.clone();
        large.data()[5] = kInfinity;
        CHECK(all(logits(large), [](float v) { return std::isfinite(v); }));
        Parameter& weight = *sim.graph().parameters()[0];
        for (float& value : weight.edit().data()) value = kNaN;
        CHECK(all(logits(x), is_nan));
      }
  }
}
