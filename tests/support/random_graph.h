#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

/// A network of random nodes [N, 4, 6, 6] -> [N, 4, 6, 6], with forks and several outputs: every
/// value that no node reads. The same seed gives the same network and weights.
inline rung::Graph random_graph(std::uint64_t seed, int nodes = 14) {
  using namespace rung;
  Rng rng(seed);
  Graph graph;
  graph.set_seed(seed);
  std::vector<Var> values = {graph.input("x", {2, 4, 6, 6})};
  const auto pick = [&] {  // one of the last few
    const auto few = std::min<std::size_t>(values.size(), 4);
    return values[values.size() - 1 - rng.below(few)];
  };
  for (int i = 0; i < nodes; ++i) {
    const std::string name = std::string("n").append(std::to_string(i));
    switch (rng.below(7)) {
      case 0:
        values.push_back(nn::conv2d(
            pick(), {.out_channels = 4, .kernel = 3, .padding = 1, .bias = rng.bernoulli(0.5)},
            name));
        break;
      case 1:
        values.push_back(nn::batch_norm2d(pick(), {}, name));
        break;
      case 2:
        values.push_back(nn::relu(pick(), name));
        break;
      case 3:
        values.push_back(nn::leaky_relu(pick(), {.alpha = 0.2f}, name));
        break;
      case 4:
        values.push_back(nn::relu6(pick(), name));
        break;
      case 5:
        values.push_back(nn::add(pick(), pick(), name));
        break;
      default:
        values.push_back(nn::conv2d(pick(), {.out_channels = 4, .kernel = 1}, name));
    }
  }
  std::vector<Value*> outputs;
  for (const Var& each : values)
    if (each.value().uses().empty()) outputs.push_back(&each.value());
  graph.set_outputs(std::move(outputs));
  return graph;
}
