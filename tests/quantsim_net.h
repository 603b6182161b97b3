#pragma once

#include <vector>

#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

// A small network with a branch, and data for it.

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
