#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/graph/graph.h"
#include "rung/graph/kernel.h"

// Edits a graph of ops that the library does not know: src/graph alone is needed, on any machine.

using namespace rung;

namespace {

/// y = x0 + x1 + ..., all of the same shape.
struct Sum : SimpleOp<Sum> {
  static constexpr std::string_view kType = "Sum";
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    for (const Shape& shape : inputs)
      if (shape != inputs[0]) throw Error("Sum: shapes differ");
    return {inputs[0]};
  }
  void forward(const Io& io) const {
    for (std::size_t i = 0; i < io.output(0).span().size(); ++i) {
      float sum = 0.0f;
      for (std::size_t k = 0; k < io.input_count(); ++k) sum += io.input(k).data[i];
      io.output(0).data[i] = sum;
    }
  }
  void backward(const GradIo&) const {}
};

/// x and its parameter w, added in "first", and doubled in "second".
struct Small {
  Graph graph;
  Var x, w, first, second;
  Small()
      : x(graph.input("x", Shape{2, 3})),
        w(graph.parameter("w", Tensor::full({2, 3}, 0.5f), Role::weight)),
        first(graph.add(std::make_unique<Sum>(), {x, w}, "first")),
        second(graph.add(std::make_unique<Sum>(), {first, first}, "second")) {
    graph.set_outputs({second});
  }
};

}  // namespace

TEST_SUITE("graph") {
  TEST_CASE("ops of one's own can be inserted, bypassed and removed") {
    Small small;
    Graph& graph = small.graph;
    Node& between = graph.insert_after(small.first.value(), std::make_unique<Sum>(), {}, "between");
    graph.check();
    CHECK(graph.node("second").inputs()[0] == &between.output());
    CHECK(graph.node("second").inputs()[1] == &between.output());
    CHECK_THROWS_AS(graph.remove_node(between), Error);
    graph.bypass_node(between);
    graph.check();
    CHECK(graph.find_node("between") == nullptr);
    CHECK(graph.node("second").inputs()[0] == &small.first.value());
    CHECK_THROWS_AS(graph.add(std::make_unique<Sum>(), {small.x, small.x}, "first"), Error);
    CHECK(graph.nodes().size() == 2);
  }

  TEST_CASE("a clone of a graph with ops of one's own shares nothing") {
    Small small;
    Graph copy = small.graph.clone();
    copy.check();
    copy.parameter("w").edit().fill(2.0f);
    CHECK(small.graph.parameter("w").value().at(0, 0) == 0.5f);
    CHECK(copy.node("second").op().type() == "Sum");
    CHECK(copy.to_string() == small.graph.to_string());
  }

  TEST_CASE("a kernel of one's own adds what it reads") {
    Small small;
    const std::vector<Shape> shapes(2, Shape{2, 3});
    const std::vector<Format> formats(2, Format::plain);
    KernelContext context;
    context.inputs = shapes;
    context.outputs = std::span(shapes).first(1);
    context.formats = formats;
    const auto kernel = small.first.value().producer()->op().compile(context);
    std::vector<float> a(6, 1.0f), b(6, 2.0f), y(6);
    const View inputs[] = {{.data = a.data(), .shape = &shapes[0], .count = 6},
                           {.data = b.data(), .shape = &shapes[1], .count = 6}};
    const View output{.data = y.data(), .shape = &shapes[0], .count = 6};
    kernel->forward(Io(inputs, {&output, 1}, Mode::eval, Rng(1), nullptr, nullptr, {}));
    CHECK(y == std::vector<float>(6, 3.0f));
  }
}
