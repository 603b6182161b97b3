#include "rung/ops/layers.h"
#include "support/gradcheck.h"
#include "support/reference.h"

namespace rung::test {
namespace {

struct Case {
  Shape x, weight;
  reference::ConvSizes sizes;
  bool bias = true;
};

const std::vector<Case> kCases = {
    {{2, 3, 8, 8}, {8, 3, 3, 3}, {.padding = 1}},
    {{2, 1, 7, 5}, {3, 1, 3, 3}, {.stride = 2, .padding = 1}},
    {{1, 16, 6, 6}, {24, 16, 1, 1}, {.stride = 2}, false},
    {{2, 17, 5, 7}, {8, 17, 3, 3}, {.padding = 1}},
    {{1, 8, 9, 9}, {17, 8, 3, 3}, {.padding = 2, .dilation = 2}},
    {{2, 16, 5, 5}, {16, 1, 3, 3}, {.padding = 1, .groups = 16}},  // depthwise
    {{2, 8, 5, 5}, {8, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 8}, false},
    {{1, 6, 5, 5}, {9, 2, 3, 3}, {.padding = 1, .groups = 3}},
    {{1, 32, 4, 4}, {32, 16, 3, 3}, {.padding = 1, .groups = 2}},
    {{1, 3, 13, 13}, {16, 3, 7, 7}, {.stride = 2, .padding = 3}, false},
    {{1, 2, 12, 40}, {17, 2, 3, 3}, {.padding = 1}},  // an image's gradient, some rows at a time
    {{1, 3, 9, 40}, {5, 3, 3, 3}, {.stride = 2, .padding = 1, .dilation = 2}, false},
    {{2, 24, 1, 1}, {10, 24, 1, 1}, {}},
};

Build conv(const reference::ConvSizes& sizes, bool relu = false) {
  return [=](Graph& graph, const Operands& in) {
    auto op = std::make_unique<Conv>();
    op->stride_h = op->stride_w = sizes.stride;
    op->padding_h = op->padding_w = sizes.padding;
    op->dilation_h = op->dilation_w = sizes.dilation;
    op->groups = sizes.groups;
    const Var y = in.size() == 3 ? graph.add(std::move(op), {in[0], in[1], in[2]}, "op")
                                 : graph.add(std::move(op), {in[0], in[1]}, "op");
    return relu ? nn::relu(y, "relu") : y;
  };
}

}  // namespace

TEST_SUITE("ops conv") {
  TEST_CASE("conv follows the loops, for any stride, padding, dilation and groups") {
    for (const Case& each : kCases) {
      CAPTURE(each.x.to_string());
      CAPTURE(each.weight.to_string());
      const Tensor x = uniform(each.x, Rng(1)), weight = uniform(each.weight, Rng(2));
      const Tensor bias = uniform({each.weight[0]}, Rng(3));
      std::vector<Tensor> operands = {x, weight};
      if (each.bias) operands.push_back(bias);
      const Tensor expected = reference::conv(x, weight, each.bias ? &bias : nullptr, each.sizes);
      check_values(operands, conv(each.sizes), expected, 2e-6);
      gradcheck(operands, conv(each.sizes));
      check_values(operands, conv(each.sizes, true), reference::relu(expected), 2e-6);
    }
  }

  TEST_CASE("the gradient passes a relu behind a conv, fused or not") {
    for (const Case& each : kCases) {
      if (!each.bias) continue;
      CAPTURE(each.x.to_string());
      CAPTURE(each.weight.to_string());
      // |sum| <= fan_in, so biases this far out keep every output on one side of the kink.
      const double fan_in = static_cast<double>(each.weight.numel() / each.weight[0]);
      Tensor bias(Shape{each.weight[0]});
      for (std::int64_t o = 0; o < bias.numel(); ++o)
        bias.data()[o] = static_cast<float>((o % 2 == 0 ? 1.0 : -1.0) * (1.2 * fan_in + 1.0));
      gradcheck({uniform(each.x, Rng(4)), uniform(each.weight, Rng(5)), bias},
                conv(each.sizes, true), {.step = 5e-2});
    }
  }

  TEST_CASE("conv sees a weight that changed since the last forward") {
    const Tensor x = uniform({1, 16, 5, 5}, Rng(6)), weight = uniform({16, 16, 3, 3}, Rng(7));
    Graph graph = graph_of({x, weight}, conv({.padding = 1}));
    Executor executor(graph);
    run(executor, Mode::eval);
    graph.parameter("operand1").edit().data()[100] += 1.0f;
    const Tensor expected =
        reference::conv(x, graph.parameter("operand1").value(), nullptr, {.padding = 1});
    CHECK(difference(run(executor, Mode::eval), expected) <= 2e-6);
  }

  TEST_CASE("a frozen weight or bias gets no gradient and disturbs nobody") {
    const Tensor x = uniform({2, 16, 5, 5}, Rng(8)), weight = uniform({8, 16, 3, 3}, Rng(9));
    const Tensor bias = uniform({8}, Rng(10));
    for (std::size_t frozen = 0; frozen < 3; ++frozen) {
      CAPTURE(frozen);
      const Build build = [&](Graph& graph, const Operands& in) {
        graph.parameter("operand" + std::to_string(frozen)).set_requires_grad(false);
        return conv({.padding = 1})(graph, in);
      };
      gradcheck({x, weight, bias}, build);
    }
  }

  TEST_CASE("gemm is x weight^T + bias") {
    for (const auto& [rows, inputs, outputs] :
         std::vector<std::array<std::int64_t, 3>>{{1, 1, 1}, {4, 7, 3}, {8, 24, 10}, {3, 64, 17}}) {
      const Tensor x = uniform({rows, inputs}, Rng(11)), w = uniform({outputs, inputs}, Rng(12));
      const Tensor bias = uniform({outputs}, Rng(13));
      const Build build = [](Graph& graph, const Operands& in) {
        return in.size() == 3 ? graph.add(std::make_unique<Gemm>(), {in[0], in[1], in[2]}, "op")
                              : graph.add(std::make_unique<Gemm>(), {in[0], in[1]}, "op");
      };
      check_values({x, w, bias}, build, reference::gemm(x, w, &bias), 2e-6);
      check_values({x, w}, build, reference::gemm(x, w, nullptr), 2e-6);
      gradcheck({x, w, bias}, build);
      gradcheck({x, w}, build);
    }
  }

  TEST_CASE("weights that do not fit are refused when the node is added") {
    Graph graph;
    const Var x = graph.input("x", {1, 16, 4, 4});
    const Var weight = graph.parameter("weight", Tensor(Shape{32, 8, 3, 3}), Role::weight);
    CHECK_THROWS_AS(graph.add(std::make_unique<Conv>(), {x, weight}, "conv"), Error);
    CHECK_THROWS_AS(graph.add(std::make_unique<Gemm>(), {x, weight}, "gemm"), Error);
    CHECK_THROWS_AS(nn::conv2d(x, {.out_channels = 8, .kernel = 3, .groups = 3}, "c"), Error);
    CHECK_THROWS_AS(nn::linear(x, {.out_features = 8}, "fc"), Error);
    CHECK(graph.nodes().empty());
  }
}

}  // namespace rung::test
