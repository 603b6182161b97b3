// Norms of one image, and ops that repeat tensors or take parts of them.

#include <cmath>
#include <vector>

#include "rung/ops/norm.h"
#include "rung/ops/shape_ops.h"
#include "support/gradcheck.h"

namespace rung::test {
namespace {

/// Normalizes groups of `size` elements; element i is scaled by weight number i / run % period.
Tensor normalized(const Tensor& x, const Tensor& weight, const Tensor& bias, std::int64_t size,
                  std::int64_t run, double epsilon) {
  Tensor y(x.shape());
  for (std::int64_t first = 0; first < x.numel(); first += size) {
    double mean = 0.0, variance = 0.0;
    for (std::int64_t i = first; i < first + size; ++i)
      mean += x.data()[i] / static_cast<double>(size);
    for (std::int64_t i = first; i < first + size; ++i)
      variance += std::pow(x.data()[i] - mean, 2) / static_cast<double>(size);
    for (std::int64_t i = first; i < first + size; ++i) {
      const std::int64_t w = i / run % weight.numel();
      y.data()[i] = static_cast<float>(
          (x.data()[i] - mean) / std::sqrt(variance + epsilon) * weight.data()[w] + bias.data()[w]);
    }
  }
  return y;
}

/// Lets the two parameters that a layer has made be operands of the test.
Var with_parameters(Var y, const Operands& in) {
  Node& node = *y.value().producer();
  for (const std::size_t i : {1u, 2u}) y.graph().replace_input({&node, i}, in[i].value());
  return y;
}

}  // namespace

TEST_SUITE("ops norms") {
  TEST_CASE("layer_norm normalizes what lies behind an axis") {
    const Tensor x = uniform({2, 3, 4, 5}, Rng(1));
    for (const std::int64_t axis : {-1, 2, 1}) {
      CAPTURE(axis);
      const std::int64_t at = axis < 0 ? 3 : axis;
      std::vector<std::int64_t> dims(x.shape().dims().begin() + at, x.shape().dims().end());
      const Shape group(dims);
      const Tensor weight = uniform(group, Rng(2), 0.5, 1.5), bias = uniform(group, Rng(3));
      const Build build = [&](Graph&, const Operands& in) {
        return with_parameters(nn::layer_norm(in[0], {.axis = axis, .epsilon = 1e-3f}, "op"), in);
      };
      check_values({x, weight, bias}, build, normalized(x, weight, bias, group.numel(), 1, 1e-3f),
                   2e-6);
      gradcheck({x, weight, bias}, build);
    }
  }

  TEST_CASE("instance_norm and group_norm normalize channels, alone and in groups") {
    const Tensor x = uniform({2, 6, 3, 4}, Rng(4));
    const Tensor weight = uniform({6}, Rng(5), 0.5, 1.5), bias = uniform({6}, Rng(6));
    const Build instance = [](Graph&, const Operands& in) {
      return with_parameters(nn::instance_norm(in[0], {}, "op"), in);
    };
    check_values({x, weight, bias}, instance, normalized(x, weight, bias, 12, 12, 1e-5f), 2e-6);
    gradcheck({x, weight, bias}, instance);
    for (const std::int64_t groups : {1, 2, 3, 6}) {
      CAPTURE(groups);
      const Build build = [&](Graph&, const Operands& in) {
        return with_parameters(nn::group_norm(in[0], {.groups = groups}, "op"), in);
      };
      check_values({x, weight, bias}, build,
                   normalized(x, weight, bias, 6 / groups * 12, 12, 1e-5f), 2e-6);
      gradcheck({x, weight, bias}, build);
    }
    Graph graph;
    CHECK_THROWS_WITH_AS(nn::group_norm(graph.input("x", {1, 6, 2}), {.groups = 4}, "op"),
                         doctest::Contains("must divide the 6 channels, got 4"), Error);
  }

  TEST_CASE("expand repeats, for any batch size") {
    const Tensor x = uniform({3, 1}, Rng(7));
    const Build build = [](Graph&, const Operands& in) {
      return nn::expand(in[0], {2, 1, 4}, "op");
    };
    Tensor expected(Shape{2, 3, 4});
    for (std::int64_t i = 0; i < 24; ++i) expected.data()[i] = x.data()[i / 4 % 3];
    check_values({x}, build, expected, 0.0);
    gradcheck({x}, build);

    Graph graph;
    const Var images = graph.input("x", {1, 2});
    const Var token = graph.parameter("token", Tensor(Shape{1, 2}, {5, 6}), Role::weight);
    graph.set_outputs({nn::expand(token, images, {0, 2}, "op")});
    Executor executor(graph);
    const Tensor y = executor.forward(uniform({3, 2}, Rng(8)), Mode::train);
    CHECK(y.shape() == Shape{3, 2});
    CHECK(y.data()[5] == 6.0f);
    executor.backward(Tensor::full(y.shape(), 1.0f));
    CHECK(graph.parameter("token").grad().data()[0] == 3.0f);
  }

  TEST_CASE("gather takes parts, some twice") {
    const Tensor x = uniform({2, 3, 4}, Rng(9));
    for (const std::int64_t axis : {0, 1, -1}) {
      CAPTURE(axis);
      const std::int64_t at = axis < 0 ? 2 : axis;
      const std::vector<std::int64_t> indices = {1, -1, 1, 0};
      const Build build = [&](Graph&, const Operands& in) {
        return nn::gather(in[0], {.axis = axis, .indices = indices}, "op");
      };
      Tensor expected(x.shape().with(at, 4));
      std::int64_t inner = 1;
      for (std::int64_t i = at + 1; i < 3; ++i) inner *= x.size(i);
      for (std::int64_t i = 0; i < expected.numel(); ++i) {
        std::int64_t index = indices[static_cast<std::size_t>(i / inner % 4)];
        if (index < 0) index += x.size(at);
        expected.data()[i] = x.data()[(i / (inner * 4) * x.size(at) + index) * inner + i % inner];
      }
      check_values({x}, build, expected, 0.0);
      gradcheck({x}, build);
    }
    const Build last = [](Graph&, const Operands& in) {
      return nn::gather(in[0], {.axis = 1, .indices = {-1}, .keepdims = false}, "op");
    };
    CHECK(evaluate({x}, last).shape() == Shape{2, 4});
    CHECK(evaluate({x}, last).data()[0] == x.data()[8]);
    gradcheck({x}, last);
    Graph graph;
    CHECK_THROWS_WITH_AS(nn::gather(graph.input("x", {1, 2}), {.axis = 1, .indices = {2}}, "op"),
                         doctest::Contains("index 2 is outside of axis 1 of [1, 2]"), Error);
  }
}

}  // namespace rung::test
