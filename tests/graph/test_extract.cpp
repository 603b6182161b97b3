#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/graph/kernel.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/message_of.h"
#include "support/random_graph.h"
#include "support/train_step.h"

using namespace rung;

namespace {

using Names = std::vector<std::string>;

// Formats and fusion depend on what stands beside a node; without them a node's bits do not.
const ExecutorOptions kPlain{
    .layout = LayoutPolicy::plain, .conv_algorithm = ConvAlgorithm::direct, .fuse = false};

/// Two halves of a graph: all values that nodes from `position` on read of those before.
struct Cut {
  Names between, outputs;  ///< outputs behind it

  Cut(const Graph& graph, std::size_t position) {
    const std::vector<Node*> nodes = graph.nodes();
    for (std::size_t i = position; i < nodes.size(); ++i) {
      for (const Value* input : nodes[i]->inputs()) {
        const auto producer = std::ranges::find(nodes, input->producer());
        const bool before = producer == nodes.end() || producer - nodes.begin() < at(position);
        const bool known = std::ranges::find(between, input->name()) != between.end();
        if (before && !known && input->parameter() == nullptr) between.push_back(input->name());
      }
      if (graph.is_output(nodes[i]->output())) outputs.push_back(nodes[i]->name());
    }
  }
  static std::ptrdiff_t at(std::size_t position) { return static_cast<std::ptrdiff_t>(position); }
};

std::vector<Tensor> values_of(const Executor& executor, const Names& names) {
  std::vector<Tensor> values;
  for (const std::string& name : names) values.push_back(executor.value(name));
  return values;
}

/// Runs backward with fixed noise as the gradient of each output, by its name.
void run_backward(Executor& executor, const Graph& graph) {
  std::vector<Tensor> gradients;
  for (const Value* output : graph.outputs())
    gradients.push_back(noise(output->shape(), std::hash<std::string>()(output->name())));
  for (Parameter* parameter : graph.parameters()) parameter->zero_grad();
  executor.backward(gradients);
}

std::map<std::string, Tensor> gradients_of(const Graph& graph) {
  std::map<std::string, Tensor> gradients;
  for (Parameter* parameter : graph.parameters())
    if (parameter->has_grad()) gradients[parameter->name()] = parameter->grad().clone();
  return gradients;
}

/// Gives its input twice.
struct Twins final : SimpleOp<Twins> {
  static constexpr std::string_view kType = "Twins";
  std::vector<Shape> infer(std::span<const Shape> in) const override { return {in[0], in[0]}; }
  void forward(const Io&) const {}
  void backward(const GradIo&) const {}
};

/// x -> conv -> relu -> fc, and a second input that is added behind relu.
Graph two_inputs() {
  Graph graph;
  const Var x = graph.input("x", {2, 3, 4, 4}), y = graph.input("y", {2, 5, 4, 4});
  const Var conv = nn::conv2d(x, {.out_channels = 5, .kernel = 3, .padding = 1}, "conv");
  const Var sum = nn::add(nn::relu(conv, "relu"), y, "sum");
  graph.set_outputs({nn::linear(nn::flatten(sum, "flat"), {.out_features = 4}, "fc")});
  return graph;
}

}  // namespace

TEST_SUITE("graph: extract") {
  TEST_CASE("both halves of a random network compute what the whole computes, to the bit") {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      CAPTURE(seed);
      const Graph graph = random_graph(seed);
      const Cut cut(graph, 1 + seed % (graph.nodes().size() - 1));
      Graph whole = graph.clone();
      Executor executor(whole, kPlain);
      executor.watch(cut.between);
      const Tensor x = noise({2, 4, 6, 6}, seed + 100);
      for (const Mode mode : {Mode::eval, Mode::train}) {
        const std::vector<Tensor> expected = executor.forward(std::span(&x, 1), mode);
        const std::vector<Tensor> between = values_of(executor, cut.between);

        Names inner = cut.between;
        std::erase(inner, "x");
        if (!inner.empty()) {
          Graph front = graph.extract({"x"}, inner, {.share_parameters = false});
          front.check();
          Executor first(front, kPlain);
          const std::vector<Tensor> got = first.forward(std::span(&x, 1), mode);
          for (std::size_t i = 0; i < inner.size(); ++i)
            CHECK(equal(got[i], executor.value(inner[i])));
        }
        Graph back = graph.extract(cut.between, cut.outputs, {.share_parameters = false});
        back.check();
        Executor second(back, kPlain);
        const std::vector<Tensor> got = second.forward(between, mode);
        for (std::size_t i = 0; i < got.size(); ++i) {
          const Value* output = back.outputs()[i];
          const auto found = std::ranges::find(whole.outputs(), output->name(),
                                               [](const Value* value) { return value->name(); });
          CHECK(equal(got[i], expected[static_cast<std::size_t>(found - whole.outputs().begin())]));
        }
      }
    }
  }

  TEST_CASE("gradients of a part reach the shared parameters of a random network") {
    for (std::uint64_t seed = 20; seed < 32; ++seed) {
      CAPTURE(seed);
      Graph graph = random_graph(seed);
      const Cut cut(graph, 1 + seed % (graph.nodes().size() - 1));
      Executor executor(graph, kPlain);
      executor.watch(cut.between);
      const Tensor x = noise({2, 4, 6, 6}, seed);
      (void)executor.forward(std::span(&x, 1), Mode::train);
      const std::vector<Tensor> between = values_of(executor, cut.between);
      run_backward(executor, graph);
      const auto expected = gradients_of(graph);

      Graph part = graph.extract(cut.between, cut.outputs);
      for (Parameter* parameter : graph.parameters()) parameter->zero_grad();
      Executor second(part, kPlain);
      (void)second.forward(between, Mode::train);
      run_backward(second, part);
      for (const Parameter* parameter : part.parameters()) {
        CAPTURE(parameter->name());
        CHECK(parameter == &graph.parameter(parameter->name()));
        if (parameter->role() == Role::buffer) continue;
        CHECK(equal(graph.parameter(parameter->name()).grad(), expected.at(parameter->name())));
      }
      for (const Parameter* parameter : graph.parameters())
        CHECK(parameter->has_grad() ==
              (part.find_value(parameter->name()) != nullptr && parameter->role() != Role::buffer));
    }
  }

  TEST_CASE("edits of shared parameters are seen in both graphs at the next forward") {
    Graph graph = two_inputs();
    Graph part = graph.extract({"x"}, {"relu"});
    CHECK(part.parameters().size() == 2);
    Executor executor(part);
    const Tensor x = noise({2, 3, 4, 4}, 1);
    const Tensor before = executor.forward(x);
    for (float& value : graph.parameter("conv.weight").edit().data()) value *= 2.0f;
    for (float& value : graph.parameter("conv.bias").edit().data()) value *= 2.0f;
    const Tensor after = executor.forward(x);
    for (std::size_t i = 0; i < before.data().size(); ++i)
      CHECK(after.data()[i] == 2.0f * before.data()[i]);
    // Whether it needs a gradient is part of the plans of both.
    const std::uint64_t whole = graph.version(), small = part.version();
    graph.parameter("conv.weight").set_requires_grad(false);
    CHECK(graph.version() > whole);
    CHECK(part.version() > small);
  }

  TEST_CASE("parameters live as long as one of the graphs that share them") {
    auto graph = std::make_unique<Graph>(two_inputs());
    Graph part = graph->extract({"x"}, {"relu"});
    Executor executor(part);
    const Tensor x = noise({2, 3, 4, 4}, 1);
    const Tensor before = executor.forward(x);
    graph.reset();
    part.parameter("conv.weight").set_requires_grad(false);
    CHECK(equal(executor.forward(x), before));
    Graph moved = std::move(part);  // its parameters tell it, wherever it is
    const std::uint64_t version = moved.version();
    moved.parameter("conv.weight").set_requires_grad(true);
    CHECK(moved.version() > version);
  }

  TEST_CASE("cloned parameters are independent") {
    Graph graph = two_inputs();
    Graph part = graph.extract({"x"}, {"relu"}, {.share_parameters = false});
    const Tensor weight = graph.parameter("conv.weight").value().clone();
    part.parameter("conv.weight").edit().fill(1.0f);
    CHECK(equal(graph.parameter("conv.weight").value(), weight));
    Executor executor(part);
    (void)executor.forward(noise({2, 3, 4, 4}, 1), Mode::train);
    executor.backward(noise({2, 5, 4, 4}, 2));
    CHECK(part.parameter("conv.weight").has_grad());
    CHECK_FALSE(graph.parameter("conv.weight").has_grad());
    const std::uint64_t version = graph.version();
    part.parameter("conv.weight").set_requires_grad(false);
    CHECK(graph.version() == version);
    CHECK(graph.parameter("conv.weight").requires_grad());
  }

  TEST_CASE("a parameter can be an input, and what needs no input is a part, too") {
    Graph graph = two_inputs();
    Graph layer = graph.extract({"x", "conv.weight"}, {"conv"});
    CHECK(layer.parameters().size() == 1);  // the bias
    Executor executor(layer, kPlain), whole(graph, kPlain);
    whole.watch({"conv"});
    const std::vector<Tensor> inputs = {noise({2, 3, 4, 4}, 1), noise({2, 5, 4, 4}, 2)};
    (void)whole.forward(inputs);
    const std::vector<Tensor> with_weight = {inputs[0],
                                             graph.parameter("conv.weight").value().clone()};
    CHECK(equal(executor.forward(with_weight)[0], whole.value("conv")));

    QuantizationSimModel sim(graph.extract({"x"}, {"relu"}));
    sim.compute_encodings([&](Executor& e) { (void)e.forward(inputs[0]); });
    Graph weight = sim.graph().extract({}, {"conv.weight.qdq"});
    CHECK(weight.nodes().size() == 1);
    CHECK(equal(Executor(weight).forward(std::span<const Tensor>{})[0],
                quantize_dequantize(sim.graph().parameter("conv.weight").value(),
                                    sim.quantizer("conv.weight").encoding())));
  }

  TEST_CASE("quantizers come along with their settings and ranges") {
    Graph graph = two_inputs();
    QuantizationSimModel sim(graph, {.default_output_bw = 4, .default_param_bw = 3});
    const std::vector<Tensor> inputs = {noise({2, 3, 4, 4}, 1), noise({2, 5, 4, 4}, 2)};
    sim.compute_encodings([&](Executor& executor) { (void)executor.forward(inputs); });
    sim.quantizer("conv.input0").disable();
    Graph part = sim.graph().extract({"x"}, {"relu.qdq"});
    Executor executor(sim.graph()), small(part);
    executor.watch({"relu.qdq"});
    (void)executor.forward(inputs);
    const Tensor expected = executor.value("relu.qdq");
    CHECK(equal(small.forward(inputs[0]), expected));
    sim.quantizer("relu").set_range({-0.1f, 0.5f});  // ranges are parameters: shared
    (void)executor.forward(inputs);
    CHECK(equal(small.forward(inputs[0]), executor.value("relu.qdq")));
    CHECK_FALSE(equal(expected, executor.value("relu.qdq")));
    sim.quantizer("conv.input0").enable();  // settings are the op's: copied
    CHECK_FALSE(QuantizerHandle(part.node("conv.input0.qdq")).enabled());
  }

  TEST_CASE("the part is as its graph: names, order, int32 biases") {
    Graph graph = two_inputs();
    graph.set_int32_biases(true);
    const Graph part = graph.extract({"y", "x"}, {"sum", "relu"});
    CHECK(part.inputs()[0]->name() == "y");
    CHECK(part.outputs()[1]->name() == "relu");
    CHECK(part.int32_biases());
    const std::vector<Node*> nodes = part.nodes();
    REQUIRE(nodes.size() == 3);
    CHECK(nodes[2]->name() == "sum");
    CHECK(part.find_value("fc.weight") == nullptr);
    CHECK(graph.extract({"flat"}, {"fc"}).inputs()[0]->shape() == Shape{2, 80});
  }

  TEST_CASE("what is no part is refused by name, and nothing changes") {
    const Graph graph = two_inputs();
    const std::uint64_t version = graph.version();
    CHECK(message_of([&] { (void)graph.extract({"x"}, {}); }) ==
          "Graph::extract: there is no output");
    CHECK(message_of([&] { (void)graph.extract({"x"}, {"rleu"}); }).find("closest: relu") !=
          std::string::npos);
    CHECK(message_of([&] {
            (void)graph.extract({"x", "x"}, {"relu"});
          }) == "Graph::extract: input x is given twice");
    CHECK(message_of([&] {
            (void)graph.extract({"x"}, {"relu", "relu"});
          }) == "Graph::extract: output relu is given twice");
    CHECK(
        message_of([&] { (void)graph.extract({"x"}, {"fc"}); }) ==
        "Graph::extract: fc also depends on the graph's input y; add it to the inputs, or a value "
        "between them");
    CHECK(message_of([&] {
            (void)graph.extract({"flat"}, {"fc", "flat", "relu"});
          }) ==
          "Graph::extract: relu also depends on the graph's input x; add it to the inputs, or a "
          "value between them");
    CHECK(message_of([&] { (void)graph.extract({"fc.bias"}, {"conv.weight"}); }) ==
          "Graph::extract: output conv.weight does not depend on fc.bias");
    CHECK(message_of([&] {
            (void)graph.extract({"x", "fc.bias"}, {"relu"});
          }) == "Graph::extract: no output depends on the input fc.bias");
    CHECK(message_of([&] {
            (void)graph.extract({"x", "relu"}, {"relu"});
          }) == "Graph::extract: no output depends on the input x");
    CHECK(graph.version() == version);
    graph.check();
  }

  TEST_CASE("an output of a node that is needed cannot be an input") {
    Graph graph;
    const Var x = graph.input("x", {2, 4});
    const std::vector<Value*> inputs = {&x.value()};
    Node& twins = graph.add_node(std::make_unique<Twins>(), inputs, NodeNames{"twins", {"a", "b"}});
    graph.set_outputs(std::vector<Value*>{twins.outputs()[0], twins.outputs()[1]});
    CHECK(graph.extract({"x"}, {"b"}).values().size() == 3);
    CHECK(
        message_of([&] {
          (void)graph.extract({"x", "a"}, {"b", "a"});
        }) ==
        "Graph::extract: a cannot be an input: twins, which makes it, also makes what the outputs "
        "need");
  }
}
