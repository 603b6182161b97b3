#include <limits>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_model.h"
#include "rung/exec/executor.h"
#include "rung/ops/layers.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/ptq_helpers.h"

using namespace rung;

namespace {

std::vector<std::string> text(const std::vector<ptq::ModelChange>& changes) {
  std::vector<std::string> result;
  for (const ptq::ModelChange& change : changes)
    result.push_back(change.where + ": " + change.what);
  return result;
}

using Strings = std::vector<std::string>;

/// Prepares, and checks that outputs in evaluation are the same numbers.
Strings prepare(Graph& graph, const Shape& input, const ptq::PrepareOptions& options = {}) {
  randomize(graph, Rng(1));
  const Tensor x = random_input(input, Rng(2));
  const std::vector<float> before = values(Executor(graph).forward(x));
  const Strings changes = text(ptq::prepare_model(graph, options));
  graph.check();
  CHECK(values(Executor(graph).forward(x)) == before);
  CHECK(ptq::prepare_model(graph, options).empty());
  return changes;
}

}  // namespace

TEST_SUITE("ptq: preparer") {
  TEST_CASE("a network that needs nothing is left alone") {
    Graph graph = golden::network("network/trained.safetensors");
    const std::string before = fingerprint(graph);
    CHECK(ptq::prepare_model(graph).empty());
    CHECK(fingerprint(graph) == before);
  }

  TEST_CASE("dropout and nodes that keep everything are removed, names stay") {
    Graph graph;
    Var x = graph.input("x", {1, 3, 8, 8});
    x = nn::conv2d(x, {.out_channels = 20, .kernel = 3, .padding = 1}, "conv1");
    x = nn::relu(nn::dropout(x, {}, "drop1"), "relu1");
    x = nn::concat({x}, {}, "concat");
    x = nn::reshape(x, {0, 20, 8, 8}, "same");
    x = nn::max_pool2d(x, {.kernel = 2}, "pool");
    x = nn::clip(
        x, {.min = std::numeric_limits<float>::lowest(), .max = std::numeric_limits<float>::max()},
        "endless");
    x = nn::flatten(nn::global_avg_pool(x, "gap"), "flatten");
    x = nn::reshape(nn::flatten(x, "flat"), {0, -1}, "flatter");
    graph.set_outputs({nn::linear(nn::dropout(x, {}, "drop2"), {.out_features = 3}, "fc")});
    const Strings changes = prepare(graph, {5, 3, 8, 8});
    CHECK(changes == Strings{"drop1: Dropout removed: does nothing in evaluation",
                             "concat: Concat removed: joins one input",
                             "same: Reshape removed: keeps the shape",
                             "endless: Clip removed: has no ends",
                             "flat: Flatten removed: keeps the shape",
                             "flatter: Reshape removed: keeps the shape",
                             "drop2: Dropout removed: does nothing in evaluation"});
    for (const char* name : {"conv1", "relu1", "pool", "gap", "flatten", "fc"})
      CHECK(graph.find_node(name) != nullptr);
    CHECK(graph.nodes().size() == 6);
    CHECK(graph.node("relu1").inputs()[0]->producer() == &graph.node("conv1"));  // a supergroup
  }

  TEST_CASE("views that do something stay, also if they do it at another batch size only") {
    Graph graph;
    Var x = graph.input("x", {1, 4, 2, 2});
    x = nn::reshape(x, {-1, 4, 4}, "rows");
    x = nn::reshape(x, {0, 2, 2, 4}, "images");
    x = nn::reshape(x, {1, -1, 2, 4}, "joined");  // keeps the shape of one image only
    graph.set_outputs({x});
    CHECK(prepare(graph, {3, 4, 2, 2}).empty());
    CHECK(graph.nodes().size() == 3);
  }

  TEST_CASE("Clip without an upper end becomes a Relu, ReLU6 stays") {
    Graph graph;
    Var x = nn::conv2d(graph.input("x", {1, 3, 6, 6}), {.out_channels = 5, .kernel = 3}, "conv1");
    x = nn::clip(x, {.min = 0, .max = std::numeric_limits<float>::max()}, "clip1");
    x = nn::relu6(nn::conv2d(x, {.out_channels = 5, .kernel = 1}, "conv2"), "relu6");
    x = nn::conv2d(x, {.out_channels = 5, .kernel = 1}, "conv3");
    x = nn::clip(x, {.min = 0, .max = std::numeric_limits<float>::infinity()}, "clip2");
    x = nn::clip(x, {.min = -1, .max = std::numeric_limits<float>::infinity()}, "above");
    graph.set_outputs({x});
    CHECK(prepare(graph, {2, 3, 6, 6}) == Strings{"clip1: Clip now a Relu, which is the same",
                                                  "clip2: Clip now a Relu, which is the same"});
    CHECK(graph.node("clip1").type() == "Relu");
    CHECK(graph.node("relu6").type() == "Clip");
    CHECK(graph.node("above").type() == "Clip");
  }

  TEST_CASE("nodes that no output depends on are removed with their parameters") {
    Graph graph;
    Var x = graph.input("x", {1, 3, 6, 6});
    Var y = nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv");
    nn::relu(nn::batch_norm2d(y, {}, "dead_bn"), "dead_relu");
    graph.set_outputs({y});
    CHECK(prepare(graph, {2, 3, 6, 6}) ==
          Strings{"dead_relu: Relu removed: no output depends on it",
                  "dead_bn: BatchNormalization removed: no output depends on it"});
    CHECK(graph.parameters().size() == 2);
  }

  TEST_CASE("an idle node at the end gives its place to what it reads, but never twice") {
    Graph graph;
    Var x = nn::linear(graph.input("x", {1, 4}), {.out_features = 3}, "fc");
    graph.set_outputs({nn::dropout(x, {}, "drop")});
    CHECK(prepare(graph, {2, 4}) == Strings{"drop: Dropout removed: does nothing in evaluation; "
                                            "the output is now fc"});
    CHECK(graph.outputs()[0]->name() == "fc");

    Graph both;
    x = nn::linear(both.input("x", {1, 4}), {.out_features = 3}, "fc");
    both.set_outputs({x, nn::dropout(x, {}, "drop")});
    CHECK(ptq::prepare_model(both).empty());
    Graph alone;
    alone.set_outputs({nn::dropout(alone.input("x", {1, 4}), {}, "drop")});
    CHECK(ptq::prepare_model(alone).empty());
  }

  TEST_CASE("shared parameters are copied for each reader only if that is asked for") {
    Graph graph;
    Var x = graph.input("x", {1, 3, 6, 6});
    for (const char* name : {"conv1", "conv2", "conv3"})
      x = nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 1}, name),
                   name + std::string("_relu"));
    graph.set_outputs({x});
    for (const char* name : {"conv2", "conv3"}) {
      graph.replace_input({&graph.node(name), 1}, graph.value("conv1.weight"));
      graph.replace_input({&graph.node(name), 2}, graph.value("conv1.bias"));
    }
    graph.parameter("conv1.bias").set_requires_grad(false);
    Graph tied = graph.clone();
    CHECK(prepare(tied, {2, 3, 6, 6}).empty());
    CHECK(prepare(graph, {2, 3, 6, 6}, {.untie_parameters = true}).size() == 4);
    for (const char* name : {"conv1", "conv2", "conv3"}) {
      const Node& node = graph.node(name);
      for (const std::size_t i : {1, 2}) {
        CHECK(node.inputs()[i]->uses().size() == 1);
        CHECK(node.inputs()[i]->name().starts_with(name));
      }
      CHECK(node.inputs()[1]->parameter()->role() == Role::weight);
      CHECK_FALSE(node.inputs()[2]->parameter()->requires_grad());
    }
    graph.node("conv2").inputs()[1]->parameter()->edit().fill(0);
    CHECK(graph.parameter("conv1.weight").value().data()[0] != 0);
  }

  TEST_CASE("a graph with quantizers or without outputs is refused") {
    Graph graph;
    Var x = nn::linear(graph.input("x", {1, 4}), {.out_features = 3}, "fc");
    check_refused(graph, "no outputs", [&] { ptq::prepare_model(graph); });
    graph.set_outputs({nn::dropout(x, {}, "drop")});
    QuantizationSimModel sim(graph);
    check_refused(sim.graph(), "prepare the float model", [&] { ptq::prepare_model(sim.graph()); });
  }
}
