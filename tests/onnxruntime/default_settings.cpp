// Networks that ONNX Runtime has to run as they are simulated with its default settings.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cases.h"

namespace agreement {
namespace {

using namespace rung;

Tensor random_tensor(Shape shape, std::uint64_t seed) {
  Rng rng(seed);
  Tensor x(std::move(shape));
  for (float& v : x.data()) v = static_cast<float>(rng.normal());
  return x;
}

QuantizationSimModel calibrated(const Graph& graph, const QuantSimOptions& options) {
  QuantizationSimModel sim(graph, options);
  sim.compute_encodings([](Executor& executor) {
    const Shape shape = executor.graph().inputs()[0]->shape();
    executor.forward(std::vector<Tensor>{random_tensor(shape.with(0, 8), 1)});
  });
  return sim;
}

/// Two convolutions and a layer whose biases are as large as its outputs: with 16-bit weights and
/// activations more than 2^31 steps.
Graph convolutions(bool clips) {
  Graph graph;
  const auto activation = [&](Var x, const char* name) {
    return clips ? nn::clip(x, {.min = 0.0f, .max = 6.0f}, name) : nn::relu(x, name);
  };
  Var x = graph.input("x", {4, 3, 12, 12});
  x = activation(nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1}, "conv1"), "act1");
  x = activation(nn::conv2d(x, {.out_channels = 8, .kernel = 3, .stride = 2}, "conv2"), "act2");
  x = nn::flatten(nn::global_avg_pool(x, "pool"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = 10}, "fc")});
  std::uint64_t seed = 1;
  for (Parameter* parameter : graph.parameters()) {
    const float size = parameter->role() == Role::bias ? 1.0f : 0.3f;
    const Tensor numbers = random_tensor(parameter->shape(), ++seed);
    std::ranges::transform(numbers.data(), parameter->edit().data().begin(),
                           [=](float v) { return size * v; });
  }
  for (float& v : graph.parameter("fc.bias").edit().data()) v *= 4.0f;
  return graph;
}

/// The same with a filter of zeros, and one behind an input that is always 0.
Graph dead_channels() {
  Graph graph = convolutions(false);
  const auto first = graph.parameter("conv1.weight").edit().data();
  std::fill_n(first.begin(), first.size() / 8, 0.0f);
  const auto second = graph.parameter("conv2.weight").edit().data();
  std::fill_n(second.begin() + 72, 72, 0.0f);
  graph.parameter("conv2.bias").edit().data()[1] = 5.0f;
  return graph;
}

/// An input of the second convolution that is always 0.
Graph dead_input() {
  Graph graph = convolutions(false);
  for (float& v : graph.parameter("conv1.weight").edit().data()) v = 0.0f;
  for (float& v : graph.parameter("conv1.bias").edit().data()) v = -1.0f;
  return graph;
}

/// x > 0 ? x : slope x, with slopes per channel, behind a convolution.
Graph slopes() {
  Graph graph;
  Var x = nn::conv2d(graph.input("x", {4, 3, 8, 8}), {.out_channels = 6, .kernel = 3}, "conv");
  const Var positive = nn::relu(x, "positive");
  const Var slope = graph.parameter("slope", random_tensor({6, 1, 1}, 5), Role::norm);
  x = nn::add(positive, nn::mul(nn::sub(x, positive, "negative"), slope, "scaled"), "sum");
  graph.set_outputs({x});
  return graph;
}

Graph product_and_sum() {
  Graph graph;
  const Var x = graph.input("x", {4, 16});
  const Var w = graph.parameter("w", random_tensor({16, 8}, 6), Role::weight);
  const Var b = graph.parameter("b", random_tensor({8}, 7), Role::bias);
  graph.set_outputs({nn::add(graph.add(make_op("MatMul"), {x, w}, "product"), b, "sum")});
  return graph;
}

Graph probabilities() {
  Graph graph = convolutions(false);
  graph.set_outputs({nn::softmax(Var(graph, *graph.outputs()[0]), {}, "softmax")});
  return graph;
}

Graph two_outputs() {
  Graph graph = convolutions(true);
  graph.set_outputs(std::vector<Value*>{&graph.value("act1"), graph.outputs()[0]});
  return graph;
}

QuantSimOptions bits(int param_bw, int output_bw, std::string config = "per_channel") {
  return {.quant_scheme = QuantScheme::post_training_tf,
          .default_output_bw = output_bw,
          .default_param_bw = param_bw,
          .config_file = std::move(config),
          .int32_biases = true};
}

}  // namespace

void add_default_settings(const AddSim& add) {
  const auto add_graph = [&](const std::string& name, const Graph& graph,
                             const QuantSimOptions& options, Kind kind = Kind::outputs,
                             double tolerance = 0, bool float_biases = false) {
    add({.name = name,
         .kind = kind,
         .tolerance = tolerance,
         .default_settings = true,
         .float_biases = float_biases},
        calibrated(graph, options), random_tensor(graph.inputs()[0]->shape(), 2));
  };
  const Graph plain = convolutions(false), clipped = convolutions(true);
  for (int param_bw = 2; param_bw <= 16; ++param_bw)
    for (int output_bw = 2; output_bw <= 16; ++output_bw) {
      const bool clips = (param_bw + output_bw) % 2 == 1;
      add_graph(fmt::format("default_w{}a{}", param_bw, output_bw), clips ? clipped : plain,
                bits(param_bw, output_bw));
    }
  for (const int width : {4, 8, 16}) {
    const auto named = [&](const char* name) { return fmt::format("default_{}_{}", name, width); };
    add_graph(named("clip"), clipped, bits(width, width, "default"));
    add_graph(named("dead_channels"), dead_channels(), bits(width, width));
    add_graph(named("dead_input"), dead_input(), bits(width, width));
    add_graph(named("slopes"), slopes(), bits(width, width));
    add_graph(named("product"), product_and_sum(), bits(width, width));
    add_graph(named("two_outputs"), two_outputs(), bits(width, width));
    QuantSimOptions options = bits(width, width);
    options.int32_biases = false;
    add_graph(named("float_biases"), plain, options, Kind::outputs, 0, true);
  }
  add_graph("default_product_w8a16", product_and_sum(), bits(8, 16));
  // A table inside ONNX Runtime's Softmax of codes is up to one step away.
  for (const char* config : {"default", "per_channel"})
    add_graph(fmt::format("default_softmax_{}", config), probabilities(), bits(8, 8, config),
              Kind::real, 2.0 / 255);
}

}  // namespace agreement
