#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/batch_norm_1d.h"
#include "support/quantsim_net.h"

// A network with batch norms, and sims of it that fold them in simulation.

namespace foldingtest {

using namespace rung;

inline const Shape kInput{4, 3, 8, 8};

/// A residual block, a convolution with a bias and a linear layer, each with a batch norm, and one
/// batch norm that stands alone. Some gammas are negative.
inline Graph block_net() {
  Graph graph;
  Var x = graph.input("x", kInput);
  x = nn::conv2d(x, {.out_channels = 16, .kernel = 3, .padding = 1, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu1");
  Var y = nn::conv2d(x, {.out_channels = 16, .kernel = 3, .padding = 1}, "conv2");
  y = nn::batch_norm2d(y, {.epsilon = 1e-2f, .momentum = 0.3f}, "bn2");
  x = nn::relu(nn::add(y, x, "add"), "relu2");
  x = nn::max_pool2d(nn::batch_norm2d(x, {}, "alone"), {.kernel = 2}, "pool");
  x = nn::linear(nn::flatten(x, "flatten"), {.out_features = 6, .bias = false}, "fc1");
  x = nn::relu(batch_norm1d(x, {}, "bn3"), "relu3");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc2")});
  Rng rng(3);
  for (Parameter* parameter : graph.parameters()) {
    const bool positive = parameter->name().ends_with("running_var");
    for (float& v : parameter->edit().data())
      v = static_cast<float>(positive ? rng.uniform(0.3, 2.0) : rng.normal() * 0.3);
  }
  for (const char* name : {"bn1.weight", "bn2.weight", "bn3.weight"})
    for (float& v : graph.parameter(name).edit().data()) v += v < 0 ? -0.5f : 0.5f;
  return graph;
}

inline QuantSimOptions options(const std::string& config, QuantScheme scheme,
                               BatchNormMode batch_norms) {
  return {.quant_scheme = scheme,
          .default_output_bw = 6,
          .default_param_bw = 4,
          .config_file = config,
          .batch_norms = batch_norms};
}

inline QuantizationSimModel in_simulation(const std::string& config = "default",
                                          QuantScheme scheme = QuantScheme::post_training_tf) {
  return QuantizationSimModel(block_net(),
                              options(config, scheme, BatchNormMode::fold_in_simulation));
}

inline void calibrate(QuantizationSimModel& sim) {
  sim.compute_encodings([](Executor& executor) {
    for (const std::uint64_t seed : {1, 2}) executor.forward(random_tensor(kInput, seed));
  });
}

inline void train(QuantizationSimModel& sim, std::uint64_t steps) {
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.02, .momentum = 0.9});
  const std::vector<std::int64_t> labels = {0, 1, 2, 3};
  for (std::uint64_t step = 0; step < steps; ++step) {
    const Tensor logits = sim.executor().forward(random_tensor(kInput, 10 + step), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, labels);
    CHECK(std::isfinite(loss.value));
    sgd.zero_grad();
    sim.executor().backward(loss.gradient);
    sgd.step();
  }
  sim.executor().forward(random_tensor(kInput, 1));  // makes learned ranges legal
}

inline std::vector<float> numbers(const ConstTensor& tensor) {
  return {tensor.data().begin(), tensor.data().end()};
}

/// The name that a quantizer has once the batch norm is folded.
inline std::string folded_name(const std::string& name) {
  for (const auto& [norm, layer] :
       std::map<std::string, std::string>{{"bn1", "conv1"}, {"bn2", "conv2"}, {"bn3", "fc1"}})
    if (name.starts_with(norm)) return layer + name.substr(norm.size());
  return name;
}

inline std::vector<std::string> aimet_names(QuantizationSimModel& sim) {
  std::vector<std::string> names;
  for (const QuantizerHandle& each : sim.quantizers())
    names.push_back(folded_name(aimet_name(each)));
  std::ranges::sort(names);
  return names;
}

/// Runs in Mode::eval without fusion, so that the same kernels run before and after folding, and
/// returns what every quantizer of an activation computes, by folded name, and the logits.
inline std::map<std::string, std::vector<float>> run_all(QuantizationSimModel& sim) {
  Executor executor(sim.graph(), {.fuse = false});
  std::map<std::string, std::string> names;
  std::vector<std::string> watched;
  for (const QuantizerHandle& each : sim.quantizers()) {
    if (each.place() == QuantizerPlace::parameter) continue;
    watched.push_back(each.node().output().name());
    names[folded_name(each.name())] = watched.back();
  }
  executor.watch(watched);
  std::map<std::string, std::vector<float>> values;
  values["logits"] = numbers(executor.forward(random_tensor(kInput, 7)));
  for (const auto& [name, value] : names) values[name] = numbers(executor.value(value));
  return values;
}

}  // namespace foldingtest
