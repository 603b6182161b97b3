#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/graph/pattern.h"
#include "rung/ops/layers.h"

using namespace rung;

namespace {

std::vector<std::string> names(const std::vector<Chain>& chains) {
  std::vector<std::string> result;
  for (const Chain& chain : chains) {
    std::string text;
    for (const Node* node : chain) text += (text.empty() ? "" : " ") + node->name();
    result.push_back(text);
  }
  return result;
}

/// conv1 -> bn1 -> relu1 -> (conv2 -> relu2, conv3) -> add -> relu3
Graph branching() {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  x = nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu1");
  Var a = nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv2"), "relu2");
  Var b = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv3");
  graph.set_outputs({nn::relu(nn::add(a, b, "add"), "relu3")});
  return graph;
}

}  // namespace

TEST_SUITE("graph: patterns") {
  TEST_CASE("a chain needs each value to be read by the next node alone") {
    const Graph graph = branching();
    CHECK(names(find_chains(graph, {"Conv", "Relu"})) == std::vector<std::string>{"conv2 relu2"});
    CHECK(names(find_chains(graph, {"Add", "Relu"})) == std::vector<std::string>{"add relu3"});
    CHECK(names(find_chains(graph, {"Relu", "Conv"})).empty());  // relu1 has two readers
    CHECK(names(find_chains(graph, {"Conv", "BatchNormalization", "Relu"})) ==
          std::vector<std::string>{"conv1 bn1 relu1"});
    CHECK(names(find_chains(graph, {"Conv"})).size() == 3);
    CHECK_THROWS_AS(find_chains(graph, {}), Error);
  }

  TEST_CASE("transparent nodes are stepped over and are not part of a chain") {
    const Graph graph = branching();
    const ChainOptions options = {
        .transparent = [](const Node& node) { return node.type() == "BatchNormalization"; }};
    CHECK(names(find_chains(graph, {"Conv", "Relu"}, options)) ==
          std::vector<std::string>{"conv1 relu1", "conv2 relu2"});
  }

  TEST_CASE("a value that is an output of the graph ends a chain") {
    Graph graph;
    Var y = nn::conv2d(graph.input("x", {1, 2, 4, 4}), {.out_channels = 2, .kernel = 1}, "conv");
    Var z = nn::relu(y, "relu");
    graph.set_outputs({y, z});
    CHECK(find_chains(graph, {"Conv", "Relu"}).empty());
    CHECK(only_consumer(graph, graph.node("conv")) == nullptr);
  }
}
