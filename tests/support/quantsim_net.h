#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"

// A small network with a branch, data for it, and what tests of its simulation have in common.

/// x -> conv1 -> relu1 -> (conv2, conv3) -> add -> flatten -> fc, with random weights.
inline rung::Graph small_net() {
  using namespace rung;
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  x = nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv1"), "relu1");
  Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv2");
  Var b = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv3");
  x = nn::flatten(nn::add(a, b, "add"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc")});
  Rng rng(5);
  for (Parameter* parameter : graph.parameters())
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal() * 0.3);
  return graph;
}

inline rung::Tensor random_tensor(rung::Shape shape, std::uint64_t seed) {
  rung::Rng rng(seed);
  rung::Tensor tensor(std::move(shape));
  for (float& v : tensor.data()) v = static_cast<float>(rng.normal());
  return tensor;
}

inline void calibrate_small_net(rung::QuantizationSimModel& sim) {
  sim.compute_encodings([](rung::Executor& executor) {
    executor.forward(random_tensor({4, 2, 6, 6}, 1));
    executor.forward(random_tensor({4, 2, 6, 6}, 2));
  });
}

/// Makes a sim of the small network that is calibrated.
inline rung::QuantizationSimModel calibrated(rung::QuantSimOptions options) {
  rung::QuantizationSimModel sim(small_net(), std::move(options));
  calibrate_small_net(sim);
  return sim;
}

inline std::vector<std::string> names_of(rung::QuantizationSimModel& sim) {
  std::vector<std::string> names;
  for (const rung::QuantizerHandle& each : sim.quantizers()) names.push_back(each.name());
  return names;
}

inline std::vector<float> values(const rung::ConstTensor& tensor) {
  return {tensor.data().begin(), tensor.data().end()};
}

inline std::vector<float> run_small_net(rung::QuantizationSimModel& sim) {
  return values(sim.executor().forward(random_tensor({4, 2, 6, 6}, 3)));
}

/// Everything that calibration and loading may change, as text.
inline std::string fingerprint(rung::QuantizationSimModel& sim) {
  std::ostringstream text;
  text.precision(9);
  for (const rung::QuantizerHandle& each : sim.quantizers()) {
    text << each;
    for (const rung::Parameter* parameter : each.parameters())
      for (const float v : parameter->value().data()) text << ' ' << v;
    text << '\n';
  }
  return text.str();
}

/// What the quantizers mean: bitwidth, symmetry, scales and offsets, exactly.
inline std::string fingerprint_encodings(rung::QuantizationSimModel& sim) {
  std::ostringstream text;
  text.precision(9);
  for (const rung::QuantizerHandle& each : sim.quantizers()) {
    const rung::Encoding encoding = each.encoding();
    text << each.name() << ' ' << encoding;
    for (const float scale : encoding.scale) text << ' ' << scale;
    for (const std::int64_t offset : encoding.offset) text << ' ' << offset;
    text << '\n';
  }
  return text.str();
}
