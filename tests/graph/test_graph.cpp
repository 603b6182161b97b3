#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <type_traits>

#include "rung/core/error.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "support/message_of.h"

using namespace rung;

namespace {

// x -> conv1 -> relu1 -> add(relu1, x') with names in a scope.
struct Small {
  Graph graph;
  Var x, conv, relu, sum;
  Small()
      : x(graph.input("x", Shape{1, 3, 8, 8})),
        conv(nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv")),
        relu(nn::relu(conv, "relu")),
        sum(nn::add(relu, conv, "sum")) {
    graph.set_outputs({sum});
  }
};

}  // namespace

TEST_SUITE("graph") {
  TEST_CASE("layers create parameters and nodes under PyTorch's names") {
    Graph graph;
    const Var x = graph.input("x", {1, 3, 8, 8});
    const Scope stage(graph, "layer1");
    const Scope block(graph, "0");
    const Var y = nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv1");
    CHECK(y.name() == "layer1.0.conv1");
    CHECK(graph.parameter("layer1.0.conv1.weight").shape() == Shape{4, 3, 3, 3});
    CHECK(graph.parameter("layer1.0.conv1.bias").role() == Role::bias);
    CHECK(y.shape() == Shape{1, 4, 6, 6});
    graph.check();
  }

  TEST_CASE("shapes are checked when a node is added, and nothing changes on an error") {
    Small small;
    const std::size_t nodes = small.graph.nodes().size(), values = small.graph.values().size();
    const std::uint64_t version = small.graph.version();
    const std::string text = message_of([&] {
      small.graph.add(std::make_unique<Add>(), {small.conv, small.x}, "bad");
    });
    CHECK(text ==
          "[Add bad] inputs must have equal shapes, or extents of 1 that can be repeated, got [1, "
          "4, 8, 8] and [1, 3, 8, 8]");
    CHECK(message_of([&] {
            small.graph.add(std::make_unique<Relu>(), {small.conv}, "relu");
          }).find("taken") != std::string::npos);
    CHECK(small.graph.nodes().size() == nodes);
    CHECK(small.graph.values().size() == values);
    CHECK(small.graph.version() == version);
    small.graph.check();
  }

  TEST_CASE("an unknown name is answered with the closest ones") {
    Small small;
    const std::string text = message_of([&] { (void)small.graph.parameter("conv.wieght"); });
    CHECK(text.find("closest: conv.weight") != std::string::npos);
  }

  TEST_CASE("outputs can have other names than their node; a name that is taken changes nothing") {
    Graph graph;
    Var x = graph.input("x", {1, 2});
    const std::vector<Value*> inputs = {&x.value()};
    Node& node = graph.add_node(make_op("Relu"), inputs, NodeNames{"relu", {"/relu/output_0"}});
    CHECK(graph.find_node("relu") == &node);
    CHECK(graph.find_value("/relu/output_0") == &node.output());
    CHECK(graph.find_value("relu") == nullptr);
    CHECK_THROWS_AS(graph.add_node(make_op("Relu"), inputs, NodeNames{"relu2", {"x"}}), Error);
    CHECK_THROWS_AS(graph.add_node(make_op("Relu"), inputs, NodeNames{"relu2", {"a", "b"}}), Error);
    CHECK(graph.nodes().size() == 1);
    graph.check();
    const Graph copy = graph.clone();
    CHECK(copy.node("relu").output().name() == "/relu/output_0");
  }

  TEST_CASE("a node behind a value serves all its consumers") {
    Small small;
    Node& node =
        small.graph.insert_after(small.conv.value(), std::make_unique<Relu>(), {}, "conv.q");
    small.graph.check();
    CHECK(small.conv.value().uses().size() == 1);
    CHECK(node.output().uses().size() == 2);
    CHECK(small.relu.value().producer()->inputs()[0] == &node.output());
  }

  TEST_CASE("a node behind an output becomes the output") {
    Small small;
    Node& node = small.graph.insert_after(small.sum.value(), std::make_unique<Relu>(), {}, "last");
    small.graph.check();
    CHECK(small.graph.outputs()[0] == &node.output());
  }

  TEST_CASE("a node on one edge leaves the other consumers alone") {
    Small small;
    const Use use = small.conv.value().uses()[1];
    small.graph.insert_on_edge(use, std::make_unique<Relu>(), {}, "edge");
    small.graph.check();
    CHECK(small.conv.value().uses().size() == 2);
    CHECK(small.relu.value().producer()->inputs()[0] == &small.conv.value());
    CHECK(small.sum.value().producer()->inputs()[1]->name() == "edge");
  }

  TEST_CASE("bypassing a node removes it with the parameters that only it read") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 2, 2});
    const Var y = nn::relu(nn::batch_norm2d(x, {}, "bn"), "relu");
    graph.set_outputs({y});
    graph.bypass_node(graph.node("bn"));
    graph.check();
    CHECK(graph.nodes().size() == 1);
    CHECK(graph.parameters().empty());
    CHECK(message_of([&] { graph.remove_node(graph.node("relu")); }).find("still read") !=
          std::string::npos);
  }

  TEST_CASE("one input can read another value, unless that would turn the order around") {
    Small small;
    const std::uint64_t version = small.graph.version();
    Node& sum = *small.sum.value().producer();
    small.graph.replace_input({&sum, 1}, small.relu.value());
    small.graph.check();
    CHECK(small.graph.version() > version);
    CHECK(sum.inputs()[1] == &small.relu.value());
    CHECK(small.conv.value().uses().size() == 1);
    CHECK(small.relu.value().uses().size() == 2);
    Node& relu = *small.relu.value().producer();
    CHECK(message_of([&] {
            small.graph.replace_input({&relu, 0}, small.sum.value());
          }) == "Graph::replace_input: sum is produced behind relu");
    CHECK(message_of([&] {
            small.graph.replace_input({&sum, 0}, small.x.value());
          }).find("different shapes") != std::string::npos);
    CHECK(message_of([&] {
            small.graph.replace_input({&sum, 2}, small.relu.value());
          }).find("no such edge") != std::string::npos);
    small.graph.check();
  }

  TEST_CASE("a node can compute something else under its name, of the same shape only") {
    Small small;
    const std::uint64_t version = small.graph.version();
    Node& relu = *small.relu.value().producer();
    small.graph.replace_op(relu, make_op("Sigmoid"));
    small.graph.check();
    CHECK(small.graph.version() > version);
    CHECK(small.graph.node("relu").type() == "Sigmoid");
    CHECK(message_of([&] {
            small.graph.replace_op(relu, make_op("Flatten"));
          }).find("other shapes") != std::string::npos);
    CHECK(message_of([&] { small.graph.replace_op(relu, make_op("Add")); }).find("[Add relu]") ==
          0);
    CHECK(small.graph.node("relu").type() == "Sigmoid");
  }

  TEST_CASE("a parameter's value is read-only; edit() counts") {
    Small small;
    Parameter& weight = small.graph.parameter("conv.weight");
    static_assert(std::is_same_v<decltype(weight.value()), const ConstTensor&>);
    static_assert(!std::is_constructible_v<Tensor, decltype(weight.value())>);
    const std::uint64_t version = weight.version();
    weight.edit().fill(3.0f);
    CHECK(weight.version() == version + 1);
    CHECK(weight.value().at(0, 0, 0, 0) == 3.0f);
  }

  TEST_CASE("a clone shares nothing") {
    Small small;
    Graph copy = small.graph.clone();
    copy.check();
    CHECK(copy.to_string() == small.graph.to_string());
    copy.parameter("conv.weight").edit().fill(5);
    CHECK(small.graph.parameter("conv.weight").value().data()[0] != 5);
    copy.bypass_node(copy.node("relu"));
    CHECK(small.graph.find_node("relu") != nullptr);
  }

  TEST_CASE("every structural edit and every change of requires_grad makes a new version") {
    Small small;
    std::uint64_t version = small.graph.version();
    small.graph.parameter("conv.weight").set_requires_grad(false);
    CHECK(small.graph.version() > version);
    version = small.graph.version();
    small.graph.parameter("conv.weight").edit().fill(1);
    CHECK(small.graph.version() == version);
    Small buffers;
    nn::batch_norm2d(buffers.conv, {}, "bn");
    CHECK_THROWS_AS(buffers.graph.parameter("bn.running_mean").set_requires_grad(true), Error);
  }
}
