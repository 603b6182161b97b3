#include <limits>

#include "rung/ops/layers.h"
#include "support/gradcheck.h"
#include "support/reference.h"

namespace rung::test {
namespace {

struct Case {
  Shape shape;
  reference::PoolSizes sizes;
};

const std::vector<Case> kCases = {
    {{2, 3, 8, 8}, {.kernel = 2, .stride = 2}},
    {{2, 1, 7, 5}, {.kernel = 3, .stride = 2, .padding = 1}},
    {{1, 16, 9, 7}, {.kernel = 3, .stride = 2, .padding = 1}},
    {{2, 17, 6, 5}, {.kernel = 3, .stride = 1, .padding = 1}},
    {{1, 24, 5, 5}, {.kernel = 2, .stride = 1}},
    {{1, 8, 7, 7}, {.kernel = 3, .stride = 3, .padding = 1, .count_include_pad = false}},
    {{2, 5, 1, 1}, {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}},
    {{1, 3, 9, 9}, {.kernel = 5, .stride = 4, .padding = 2}},
};

nn::Pool2dOptions options(const reference::PoolSizes& sizes) {
  return {.kernel = sizes.kernel,
          .stride = sizes.stride,
          .padding = sizes.padding,
          .count_include_pad = sizes.count_include_pad};
}

Tensor gradient_of_ones(const Tensor& x, const Build& build, const Setup& setup) {
  Graph graph = graph_of({x}, build, setup.behind_conv);
  Executor executor(graph, setup.options);
  executor.backward(Tensor::full(run(executor, Mode::train).shape(), 1.0f));
  return graph.parameter("operand0").grad().clone();
}

}  // namespace

TEST_SUITE("ops pool") {
  TEST_CASE("max_pool2d takes the largest value and sends the gradient there") {
    for (const Case& each : kCases) {
      CAPTURE(each.shape.to_string());
      CAPTURE(each.sizes.kernel);
      const Tensor x = distinct(each.shape, Rng(1));
      const Build build = [&](Graph&, const Operands& in) {
        return nn::max_pool2d(in[0], options(each.sizes), "op");
      };
      check_values({x}, build, reference::max_pool(x, each.sizes), 0.0);
      gradcheck({x}, build, {.step = 2e-2});
    }
  }

  TEST_CASE("of equal values the first one gets max_pool2d's gradient") {
    const Tensor x = Tensor::full({1, 17, 4, 4}, -2.0f);
    const Build build = [](Graph&, const Operands& in) {
      return nn::max_pool2d(in[0], {.kernel = 2}, "op");
    };
    for (const Setup& setup : setups()) {
      CAPTURE(setup.name);
      const Tensor gradient = gradient_of_ones(x, build, setup);
      for (std::int64_t i = 0; i < gradient.numel(); ++i) {
        const std::int64_t row = i / 4 % 4, column = i % 4;
        CHECK(gradient.data()[i] == (row % 2 == 0 && column % 2 == 0 ? 1.0f : 0.0f));
      }
    }
  }

  TEST_CASE("max_pool2d hands on NaN") {
    Tensor x = uniform({1, 1, 4, 4}, Rng(2));
    x.data()[5] = std::numeric_limits<float>::quiet_NaN();
    const Build build = [](Graph&, const Operands& in) {
      return nn::max_pool2d(in[0], {.kernel = 2}, "op");
    };
    for (const Setup& setup : setups()) {
      CAPTURE(setup.name);
      const Tensor y = evaluate({x}, build, setup);
      CHECK(std::isnan(y.data()[0]));
      CHECK(std::isfinite(y.data()[1]));
    }
  }

  TEST_CASE("avg_pool2d averages windows, counting the padding or not") {
    for (const Case& each : kCases) {
      CAPTURE(each.shape.to_string());
      CAPTURE(each.sizes.kernel);
      const Tensor x = uniform(each.shape, Rng(3));
      const Build build = [&](Graph&, const Operands& in) {
        return nn::avg_pool2d(in[0], options(each.sizes), "op");
      };
      check_values({x}, build, reference::average_pool(x, each.sizes));
      gradcheck({x}, build);
    }
  }

  TEST_CASE("global_avg_pool averages all pixels of a channel") {
    for (const Shape& shape : std::vector<Shape>{{2, 1, 5, 7},
                                                 {3, 3, 4, 4},
                                                 {2, 8, 1, 1},
                                                 {2, 16, 8, 8},
                                                 {2, 17, 3, 5},
                                                 {1, 24, 7, 7}}) {
      CAPTURE(shape.to_string());
      const Tensor x = uniform(shape, Rng(4));
      const Build build = [](Graph&, const Operands& in) {
        return nn::global_avg_pool(in[0], "op");
      };
      check_values({x}, build, reference::global_average_pool(x));
      gradcheck({x}, build);
    }
  }

  TEST_CASE("pooling between convolutions stays in the blocked format") {
    Graph graph;
    const Var x = graph.input("x", {1, 16, 8, 8});
    Var y = identity_conv(graph, x, "before");
    y = nn::max_pool2d(y, {.kernel = 2}, "max");
    y = nn::avg_pool2d(y, {.kernel = 3, .stride = 1, .padding = 1}, "average");
    y = nn::global_avg_pool(identity_conv(graph, y, "after"), "global");
    graph.set_outputs({nn::flatten(y, "flatten")});
    Executor executor(graph);
    const std::vector<Shape> shapes = {{4, 16, 8, 8}};
    CHECK(stats(executor.plan(shapes, Mode::eval)).reorders <= 1);  // of the input
  }

  TEST_CASE("windows that do not fit are refused with the node's name") {
    Graph graph;
    const Var x = graph.input("x", {1, 3, 4, 4});
    CHECK_THROWS_WITH_AS(nn::max_pool2d(x, {.kernel = 7}, "pool"),
                         "[MaxPool pool] kernel 7x7 is larger than the padded input [1, 3, 4, 4]",
                         Error);
    CHECK_THROWS_AS(nn::max_pool2d(x, {.kernel = 2, .padding = 2}, "pool"), Error);
    CHECK_THROWS_AS(nn::avg_pool2d(x, {.kernel = 0}, "pool"), Error);
    CHECK_THROWS_AS(nn::global_avg_pool(nn::flatten(x, "flatten"), "pool"), Error);
  }
}

}  // namespace rung::test
