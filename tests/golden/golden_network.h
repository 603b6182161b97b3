#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rung/models.h"
#include "rung/ops/layers.h"

namespace rung::test {

/// The sizes of the golden network; those of other golden data come from their weights.
struct GoldenNetwork {
  std::int64_t in_channels = 3;
  std::int64_t image_size = 20;
  std::int64_t stem_channels = 8;
  std::vector<std::int64_t> block_channels = {8, 16, 24};  ///< layer1.0, layer2.0, ...
  std::int64_t num_classes = 10;
};

/// Builds the network of tests/golden/network: a stem with max pooling, one basic block per layer
/// (strides 1, 2, 2, ...), global average pooling and a linear layer. Weights are to be filled.
inline Graph golden_network(const GoldenNetwork& sizes = {}) {
  Graph graph;
  Var x = graph.input("input", {1, sizes.in_channels, sizes.image_size, sizes.image_size});
  x = nn::conv2d(x, {.out_channels = sizes.stem_channels, .kernel = 3, .padding = 1, .bias = false},
                 "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
  x = nn::max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}, "maxpool");
  for (std::size_t i = 0; i < sizes.block_channels.size(); ++i) {
    const Scope layer(graph, "layer" + std::to_string(i + 1));
    const Scope block(graph, "0");
    x = models::basic_block(x, sizes.block_channels[i], i == 0 ? 1 : 2);
  }
  x = nn::flatten(nn::global_avg_pool(x, "avgpool"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = sizes.num_classes}, "fc")});
  return graph;
}

}  // namespace rung::test
