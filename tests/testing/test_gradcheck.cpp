// The public gradient checker: it accepts what is right and points at what is not; and gradients of
// watched values, which it is built on.

#include <doctest/doctest.h>

#include <memory>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/graph/kernel.h"
#include "rung/ops/activations.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/testing/gradcheck.h"

using namespace rung;

namespace {

/// y = x^2, whose gradient is wrong unless `factor` is 2.
struct Square final : SimpleOp<Square> {
  static constexpr std::string_view kType = "TestSquare";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;
  float factor = 2.0f;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override { return {inputs[0]}; }
  void forward(const Io& io) const {
    for (std::int64_t i = 0; i < io.input(0).count; ++i)
      io.output(0).data[i] = io.input(0).data[i] * io.input(0).data[i];
  }
  void backward(const GradIo& io) const {
    for (std::int64_t i = 0; i < io.input(0).count; ++i)
      io.input_grad(0).data[i] = factor * io.input(0).data[i] * io.output_grad(0).data[i];
  }
};

Tensor uniform(const Shape& shape, std::uint64_t seed) {
  Tensor tensor(shape);
  Rng rng(seed);
  for (float& value : tensor.data()) value = static_cast<float>(rng.uniform(-1, 1));
  return tensor;
}

/// Squares between two convolutions, and a way around.
Graph network(float factor = 2.0f) {
  Graph graph;
  Var x = graph.input("x", {2, 3, 5, 5});
  Var y = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv1");
  auto square = std::make_unique<Square>();
  square->factor = factor;
  y = graph.add(std::move(square), {y}, "square");
  y = nn::add(nn::conv2d(y, {.out_channels = 4, .kernel = 1}, "conv2"), y, "add");
  graph.set_outputs({nn::sigmoid(y, "sigmoid")});
  return graph;
}

}  // namespace

TEST_SUITE("testing: gradcheck") {
  TEST_CASE("right gradients pass, of inputs and of parameters") {
    Graph graph = network();
    const std::vector<Tensor> inputs{uniform({2, 3, 5, 5}, 1)};
    const Tensor before = graph.parameter("conv1.weight").value().clone();
    const auto result = testing::gradcheck(graph, inputs);
    CHECK_MESSAGE(result.ok(), result.to_string());
    CHECK(result.compared == 40 + 40 + 4 + 16 + 4);
    CHECK(equal(graph.parameter("conv1.weight").value(), before));
  }

  TEST_CASE("a wrong gradient is found, and told by name") {
    Graph graph = network(1.9f);
    const std::vector<Tensor> inputs{uniform({2, 3, 5, 5}, 1)};
    const auto result = testing::gradcheck(graph, inputs);
    CHECK_FALSE(result.ok());
    for (const testing::GradcheckMismatch& each : result.mismatches)
      CHECK_MESSAGE((each.tensor == "x" || each.tensor.starts_with("conv1.")), each.tensor);
    CHECK(result.to_string().find("the difference says") != std::string::npos);
  }

  TEST_CASE("a wrong loss is found") {
    const auto loss = [](const Tensor& p) {
      return nn::Loss{double{p.data()[0]} * p.data()[1], p.clone()};  // the other one's is right
    };
    CHECK_FALSE(testing::gradcheck(loss, Tensor({2}, {0.25f, 0.75f})).ok());
    CHECK(testing::gradcheck(loss, Tensor({2}, {0.5f, 0.5f})).ok());
  }

  TEST_CASE("nothing compared is not a success") { CHECK_FALSE(testing::GradcheckResult{}.ok()); }
}

TEST_SUITE("exec: gradients of watched values") {
  TEST_CASE("they are those of a parameter in the value's place, in every layout") {
    for (const LayoutPolicy layout : {LayoutPolicy::blocked, LayoutPolicy::plain}) {
      Graph graph = network();
      Executor executor(graph, {.layout = layout});
      executor.watch({"x", "square", "add"});
      const Tensor x = uniform({2, 3, 5, 5}, 1), dy = uniform({2, 4, 5, 5}, 2);
      executor.forward(x, Mode::train);
      executor.backward(dy);
      const Tensor of_add = executor.gradient("add"), of_square = executor.gradient("square");

      // sigmoid' = y (1 - y), read from the graph's output.
      const Tensor y = executor.value("sigmoid");
      Tensor expected(y.shape());
      for (std::size_t i = 0; i < y.data().size(); ++i)
        expected.data()[i] = dy.data()[i] * y.data()[i] * (1 - y.data()[i]);
      CHECK(allclose(of_add, expected, {.rtol = 1e-5, .atol = 1e-7}));

      Graph behind;  // from "square" on
      Var s = behind.parameter("s", executor.value("square"), Role::weight);
      Var z = nn::add(nn::conv2d(s, {.out_channels = 4, .kernel = 1}, "conv2"), s, "add");
      behind.set_outputs({nn::sigmoid(z, "sigmoid")});
      for (const char* name : {"conv2.weight", "conv2.bias"})
        behind.parameter(name).edit().copy_from(graph.parameter(name).value());
      Executor rest(behind);
      rest.forward(std::span<const Tensor>{}, Mode::train);
      rest.backward(dy);
      CHECK(allclose(of_square, rest.gradient("s"), {.rtol = 1e-4, .atol = 1e-6}));
      CHECK(executor.gradient("x").shape() == x.shape());
      CHECK(equal(executor.gradient("conv1.bias"), graph.parameter("conv1.bias").grad()));
    }
  }

  TEST_CASE("watching does not change what is trained") {
    std::vector<Tensor> gradients;
    for (const bool watched : {false, true}) {
      Graph graph = network();
      Executor executor(graph);
      if (watched) executor.watch({"x", "add"});
      executor.forward(uniform({2, 3, 5, 5}, 1), Mode::train);
      executor.backward(uniform({2, 4, 5, 5}, 2));
      gradients.push_back(graph.parameter("conv1.weight").grad().clone());
    }
    CHECK(equal(gradients[0], gradients[1]));
  }

  TEST_CASE("what has no gradient says why") {
    Graph graph = network();
    Executor executor(graph);
    executor.watch({"x"});
    CHECK_THROWS_WITH_AS(executor.gradient("x"), "Executor::gradient: run backward first", Error);
    CHECK_THROWS_WITH_AS(executor.gradient("conv1.bias"),
                         "Executor::gradient: parameter conv1.bias has no gradient yet", Error);
    const Tensor x = uniform({2, 3, 5, 5}, 1);
    executor.forward(x, Mode::train);
    CHECK_THROWS_AS(executor.gradient("x"), Error);
    executor.backward(uniform({2, 4, 5, 5}, 2));
    CHECK(executor.gradient("x").shape() == x.shape());
    CHECK_THROWS_WITH_AS(executor.gradient("square"),
                         "Executor::gradient: square is not watched; call watch() before forward",
                         Error);
    executor.forward(x);
    CHECK_THROWS_AS(executor.gradient("x"), Error);
  }
}
