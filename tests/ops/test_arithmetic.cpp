#include <functional>
#include <string>
#include <vector>

#include "rung/ops/arithmetic.h"
#include "rung/ops/layers.h"
#include "support/gradcheck.h"

namespace rung::test {
namespace {

using Function = std::function<double(double, double)>;

struct Arithmetic {
  std::string name;
  Var (*add)(Var, Var, std::string_view);
  Function function;
};

const std::vector<Arithmetic>& arithmetic() {
  static const std::vector<Arithmetic> all = {
      {"add", nn::add, [](double a, double b) { return a + b; }},
      {"sub", nn::sub, [](double a, double b) { return a - b; }},
      {"mul", nn::mul, [](double a, double b) { return a * b; }},
      {"div", nn::div, [](double a, double b) { return a / b; }}};
  return all;
}

/// The element of `x` that stands at this place of a shape of which x is repeated.
float repeated(const ConstTensor& x, const std::vector<std::int64_t>& place) {
  std::int64_t at = 0;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    const std::int64_t i = place[place.size() - static_cast<std::size_t>(x.rank() - axis)];
    at = at * x.size(axis) + (x.size(axis) == 1 ? 0 : i);
  }
  return x.data()[at];
}

Tensor reference(const ConstTensor& a, const ConstTensor& b, const Shape& shape,
                 const Function& function) {
  Tensor y(shape);
  std::vector<std::int64_t> place(static_cast<std::size_t>(shape.rank()));
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    for (std::int64_t axis = shape.rank() - 1, rest = i; axis >= 0; rest /= shape[axis--])
      place[static_cast<std::size_t>(axis)] = rest % shape[axis];
    y.data()[i] = static_cast<float>(function(repeated(a, place), repeated(b, place)));
  }
  return y;
}

Build build_of(const Arithmetic& each) {
  return [&each](Graph&, const Operands& in) { return each.add(in[0], in[1], "op"); };
}

struct Pair {
  Shape a, b, y;
};

/// A quantizing net's usual head: a convolution, a sum with a parameter of this shape, a Relu.
Graph biased(const Shape& image, const Shape& bias) {
  Graph graph;
  const Var x = graph.input("x", image);
  const Var added = graph.parameter("b", uniform(bias, Rng(5)), Role::weight);
  const Var y = nn::add(identity_conv(graph, x, "conv"), added, "sum");
  graph.set_outputs({nn::relu(y, "relu")});
  return graph;
}

}  // namespace

TEST_SUITE("ops arithmetic") {
  TEST_CASE("operands of different shapes are repeated as in NumPy, gradients summed") {
    const std::vector<Pair> pairs = {{{2, 17, 3, 2}, {17, 1, 1}, {2, 17, 3, 2}},
                                     {{2, 3, 4, 5}, {2, 3, 1, 1}, {2, 3, 4, 5}},
                                     {{2, 1, 3, 1}, {4, 1, 5}, {2, 4, 3, 5}},
                                     {{}, {2, 3}, {2, 3}},
                                     {{1}, {1, 1}, {1, 1}},
                                     {{3}, {2, 3}, {2, 3}},
                                     {{2, 17, 2, 2}, {2, 17, 2, 2}, {2, 17, 2, 2}}};
    for (const Arithmetic& each : arithmetic())
      for (const Pair& pair : pairs) {
        CAPTURE(each.name);
        CAPTURE(pair.a.to_string());
        CAPTURE(pair.b.to_string());
        const Tensor a = uniform(pair.a, Rng(1)), b = away_from_zero(pair.b, Rng(2), 0.5);
        check_values({a, b}, build_of(each), reference(a, b, pair.y, each.function));
        gradcheck({a, b}, build_of(each), {.step = 5e-3, .tolerance = 2e-3});
      }
  }

  TEST_CASE("a broadcast sum is not fused, whatever the batch") {
    // With one image the shapes are equal and the nodes are one kernel; with three they are not.
    for (const Shape& bias : std::vector<Shape>{{1, 17, 2, 2}, {17, 1, 1}}) {
      Graph graph = biased({1, 17, 2, 2}, bias);
      const ConstTensor& added = graph.parameter("b").value();
      for (const std::int64_t images : {1, 3})
        for (const Mode mode : {Mode::eval, Mode::train}) {
          CAPTURE(bias.to_string());
          CAPTURE(images);
          const Tensor x = uniform({images, 17, 2, 2}, Rng(6));
          Tensor expected = reference(x, added, x.shape(),
                                      [](double a, double b) { return std::max(a + b, 0.0); });
          for (const bool fuse : {true, false}) {
            Executor executor(graph, {.fuse = fuse});
            CHECK(difference(executor.forward(x, mode), expected) <= 1e-6);
            if (mode == Mode::eval) continue;
            graph.parameter("b").zero_grad();
            executor.backward(Tensor::full(x.shape(), 1.0f));
            double gradients = 0.0, positive = 0.0;
            for (const float g : graph.parameter("b").grad().data()) gradients += g;
            for (const float y : expected.data()) positive += y > 0.0f ? 1.0 : 0.0;
            CHECK(gradients == doctest::Approx(positive));
          }
        }
    }
  }

  TEST_CASE("shapes that cannot be repeated are refused") {
    Graph graph;
    const Var a = graph.input("a", {2, 3, 4}), b = graph.input("b", {2, 4});
    for (const Arithmetic& each : arithmetic()) CHECK_THROWS_AS(each.add(a, b, "op"), Error);
    CHECK_THROWS_WITH_AS(nn::sub(a, b, "op"),
                         "[Sub op] inputs must have equal shapes, or extents of 1 that can be "
                         "repeated, got [2, 3, 4] and [2, 4]",
                         Error);
    CHECK_THROWS_WITH_AS(nn::matmul(b, a, "op"),
                         "[MatMul op] cannot multiply [2, 4] and [2, 3, 4]: there are 4 columns "
                         "and 3 rows",
                         Error);
    const Var scalar = graph.input("scalar", Shape{});
    CHECK_THROWS_AS(nn::matmul(a, scalar, "op"), Error);
    CHECK(graph.nodes().empty());
  }

  TEST_CASE("matmul multiplies what a batch of matrices shares, or one by one") {
    const std::vector<Pair> pairs = {{{3, 4}, {4, 5}, {3, 5}},
                                     {{2, 3, 4}, {4, 5}, {2, 3, 5}},
                                     {{4, 2, 3, 4}, {2, 4, 1}, {4, 2, 3, 1}},
                                     {{2, 1, 3, 4}, {3, 4, 2}, {2, 3, 3, 2}},
                                     {{4}, {2, 4, 3}, {2, 3}},
                                     {{2, 3, 4}, {4}, {2, 3}},
                                     {{4}, {4}, {}}};
    for (const Pair& pair : pairs) {
      CAPTURE(pair.a.to_string());
      CAPTURE(pair.b.to_string());
      const Build build = [](Graph&, const Operands& in) { return nn::matmul(in[0], in[1], "op"); };
      const Tensor a = uniform(pair.a, Rng(3)), b = uniform(pair.b, Rng(4));
      CHECK(evaluate({a, b}, build).shape() == pair.y);
      gradcheck({a, b}, build);
    }
  }
}

}  // namespace rung::test
