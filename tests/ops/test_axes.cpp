// Convolutions and pools on [N, C, L], uneven sides, and PRelu; against what they are made of.

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "rung/ops/activations.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/pool.h"
#include "rung/ops/shape_ops.h"
#include "support/gradcheck.h"

namespace rung::test {
namespace {

/// Reads [N, C, L] as [N, C, 1, L].
Tensor with_height(const Tensor& x) {
  const Shape& s = x.shape();
  return x.rank() == 3 ? x.clone().reshape({s[0], s[1], 1, s[2]}) : x;
}

/// The same windows over one axis and over two, of which the first has extent 1.
template <typename T>
void check_one_axis(const T& two, const std::vector<Tensor>& operands) {
  const auto build = [](const T& op) {
    return [op](Graph& graph, const Operands& in) {
      std::vector<Value*> inputs;
      for (const Var& each : in) inputs.push_back(&each.value());
      return Var(graph, graph.add_node(std::make_unique<T>(op), inputs, "op").output());
    };
  };
  T one = two;
  if constexpr (requires { one.window; })
    one.window.axes = 1;
  else
    one.axes = 1;
  std::vector<Tensor> images;
  for (const Tensor& each : operands) images.push_back(with_height(each));
  const Tensor expected = evaluate(images, build(two));
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    CHECK(difference(with_height(evaluate(operands, build(one), setup)), expected) < 2e-6);
    gradcheck(operands, build(one), setup, {.tolerance = 2e-3, .samples = 10});
  }
}

}  // namespace

TEST_SUITE("ops axes") {
  TEST_CASE("convolutions over one axis") {
    Conv conv;
    conv.stride_w = 2, conv.padding_w = 2, conv.dilation_w = 2;
    check_one_axis(conv, {uniform({2, 20, 13}, Rng(1)), uniform({32, 20, 3}, Rng(2), -0.3, 0.3),
                          uniform(Shape{32}, Rng(3))});
    conv = Conv();
    conv.groups = 4, conv.padding_w = 1, conv.padding_more_w = 1;
    check_one_axis(conv, {uniform({2, 4, 9}, Rng(1)), uniform({8, 1, 4}, Rng(2))});
    ConvTranspose transposed;
    transposed.stride_w = 3, transposed.padding_w = 1, transposed.output_padding_w = 1;
    check_one_axis(transposed, {uniform({2, 6, 5}, Rng(1)), uniform({6, 20, 4}, Rng(2), -0.3, 0.3),
                                uniform(Shape{20}, Rng(3))});
  }

  TEST_CASE("pools over one axis") {
    MaxPool max;
    max.window = {.kernel_w = 3, .stride_w = 2, .padding_left = 1, .dilation_w = 2};
    check_one_axis(max, {distinct({2, 20, 11}, Rng(1))});
    AveragePool average;
    average.window = {.kernel_w = 4, .stride_w = 2, .padding_right = 1, .ceil_mode = true};
    average.count_include_pad = false;
    check_one_axis(average, {uniform({2, 3, 12}, Rng(1))});
    const Build mean = [](Graph& graph, const Operands& in) {
      return graph.add(std::make_unique<GlobalAveragePool>(), {in[0]}, "op");
    };
    CHECK(evaluate({uniform({2, 3, 5}, Rng(1))}, mean).shape() == Shape{2, 3, 1});
    CHECK(evaluate({uniform({2, 3, 5, 4, 2}, Rng(1))}, mean).shape() == Shape{2, 3, 1, 1, 1});
  }

  TEST_CASE("a convolution with uneven sides is padding and a convolution") {
    const std::vector<Tensor> operands = {uniform({2, 17, 6, 7}, Rng(1)),
                                          uniform({16, 17, 3, 2}, Rng(2), -0.3, 0.3),
                                          uniform(Shape{16}, Rng(3))};
    const Build uneven = [](Graph& graph, const Operands& in) {
      auto op = std::make_unique<Conv>();
      op->padding_w = 1, op->padding_more_h = 2, op->padding_more_w = -1;
      return graph.add(std::move(op), {in[0], in[1], in[2]}, "op");
    };
    const Build parts = [](Graph& graph, const Operands& in) {
      const Var x = nn::zero_pad2d(in[0], {.left = 1, .bottom = 2}, "pad");
      return graph.add(std::make_unique<Conv>(), {x, in[1], in[2]}, "op");
    };
    const Tensor expected = evaluate(operands, parts);
    for (const Setup& setup : setups()) {
      CAPTURE(setup.name);
      CHECK(difference(evaluate(operands, uneven, setup), expected) < 2e-6);
      gradcheck(operands, uneven, setup, {.tolerance = 2e-3, .samples = 10});
    }
  }

  TEST_CASE("a transposed convolution with uneven sides is one of which they are cut off") {
    const std::vector<Tensor> operands = {uniform({2, 5, 4, 3}, Rng(1)),
                                          uniform({5, 18, 3, 3}, Rng(2), -0.3, 0.3),
                                          uniform(Shape{18}, Rng(3))};
    const Build uneven = [](Graph& graph, const Operands& in) {
      auto op = std::make_unique<ConvTranspose>();
      op->stride_h = op->stride_w = 2;
      op->padding_w = 2, op->padding_more_h = 1, op->padding_more_w = -2;
      op->output_padding_h = op->output_padding_w = 1;
      return graph.add(std::move(op), {in[0], in[1], in[2]}, "op");
    };
    const Build parts = [](Graph& graph, const Operands& in) {
      auto op = std::make_unique<ConvTranspose>();
      op->stride_h = op->stride_w = 2;
      op->output_padding_h = op->output_padding_w = 1;
      const Var all = graph.add(std::move(op), {in[0], in[1], in[2]}, "all");
      return nn::zero_pad2d(all, {.left = -2, .bottom = -1}, "op");
    };
    const Tensor expected = evaluate(operands, parts);
    for (const Setup& setup : setups()) {
      CAPTURE(setup.name);
      CHECK(difference(evaluate(operands, uneven, setup), expected) < 2e-6);
      gradcheck(operands, uneven, setup, {.tolerance = 2e-3, .samples = 10});
    }
  }

  TEST_CASE("prelu has a slope per channel, or one") {
    const Build build = [](Graph& graph, const Operands& in) {
      return graph.add(make_op("PRelu"), {in[0], in[1]}, "op");
    };
    const std::vector<Tensor> slopes = {uniform(Shape{20}, Rng(2)), uniform({20, 1, 1}, Rng(2)),
                                        uniform(Shape{1}, Rng(2))};
    for (const Tensor& slope : slopes) {
      const Tensor x = away_from_zero({3, 20, 2, 5}, Rng(1));
      Tensor expected = x.clone();
      for (std::int64_t i = 0; i < x.numel(); ++i)
        if (float& value = expected.data()[i]; value < 0)
          value *= slope.data()[slope.numel() == 1 ? 0 : i / 10 % 20];
      for (const Setup& setup : setups()) {
        CAPTURE(setup.name);
        CHECK(difference(evaluate({x, slope}, build, setup), expected) == 0.0);
        gradcheck({x, slope}, build, setup, {.tolerance = 2e-3, .samples = 15});
      }
    }
    CHECK_THROWS_WITH_AS(evaluate({uniform({1, 4, 2, 5}, Rng(1)), slopes[0]}, build),
                         doctest::Contains("one per channel"), Error);
  }
}

}  // namespace rung::test
