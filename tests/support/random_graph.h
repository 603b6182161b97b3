#pragma once

#include <string>
#include <vector>

#include "rung/ops/init.h"
#include "rung/ops/layers.h"

/// Makes a network of convolutions, batch norms, activations, pools, sums and concatenations in
/// random order, with forks; x is [N, 3, 9, 9], the output [N, 4]. Channel numbers are odd, so that
/// blocks are padded.
inline rung::Graph random_graph(std::uint64_t seed) {
  using namespace rung;
  Rng rng(seed);
  Graph graph;
  std::vector<Var> values = {graph.input("x", {1, 3, 9, 9})};
  const auto any = [&] { return values[rng.below(values.size())]; };
  const auto conv = [&](Var x, std::int64_t channels, const std::string& name) {
    const std::int64_t kernel = rng.below(2) == 0 ? 3 : 1;
    return nn::conv2d(x,
                      {.out_channels = channels,
                       .kernel = kernel,
                       .padding = kernel / 2,
                       .bias = rng.below(2) == 0},
                      name);
  };
  for (int i = 0; i < 14; ++i) {
    const std::string name = "n" + std::to_string(i);
    const Var x = i < 3 ? values.back() : any();
    const std::int64_t channels = x.shape()[1];
    switch (rng.below(8)) {
      case 0:
      case 1:
        values.push_back(conv(x, 17 + static_cast<std::int64_t>(rng.below(8)), name));
        break;
      case 2:
        values.push_back(nn::batch_norm2d(x, {}, name));
        break;
      case 3:
        values.push_back(nn::relu(x, name));
        break;
      case 4:
        values.push_back(nn::max_pool2d(x, {.kernel = 3, .stride = 1, .padding = 1}, name));
        break;
      case 5:
        values.push_back(nn::relu(
            nn::add(nn::batch_norm2d(conv(x, channels, name + ".conv"), {}, name + ".bn"), x,
                    name + ".add"),
            name));
        break;
      case 6:
        values.push_back(nn::relu(nn::batch_norm2d(x, {}, name + ".bn"), name));
        break;
      default:
        values.push_back(nn::concat({x, any()}, {.axis = 1}, name));
    }
  }
  const Var pooled = nn::global_avg_pool(nn::concat(values, {.axis = 1}, "all"), "pool");
  graph.set_outputs({nn::linear(nn::flatten(pooled, "flatten"), {.out_features = 4}, "fc")});
  nn::init_parameters(graph, Rng(seed + 1));
  return graph;
}
