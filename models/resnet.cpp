#include <span>
#include <string>

#include "models/builders.h"
#include "rung/ops/layers.h"

namespace rung::models {

Var basic_block(Var x, std::int64_t channels, std::int64_t stride) {
  Var y = nn::conv2d(
      x, {.out_channels = channels, .kernel = 3, .stride = stride, .padding = 1, .bias = false},
      "conv1");
  y = nn::relu(nn::batch_norm2d(y, {}, "bn1"), "relu1");
  y = nn::conv2d(y, {.out_channels = channels, .kernel = 3, .padding = 1, .bias = false}, "conv2");
  y = nn::batch_norm2d(y, {}, "bn2");

  Var shortcut = x;
  if (stride != 1 || x.channels() != channels) {
    const Scope scope(x.graph(), "downsample");  // names <block>.downsample.0 and .1, as in PyTorch
    shortcut = nn::conv2d(
        x, {.out_channels = channels, .kernel = 1, .stride = stride, .bias = false}, "0");
    shortcut = nn::batch_norm2d(shortcut, {}, "1");
  }
  return nn::relu(nn::add(y, shortcut, "add"), "relu2");
}

namespace {

// The stages layer1, layer2, ...: each halves the image, but for the first, and doubles the
// channels.
Var stages(Var x, std::span<const std::int64_t> blocks, std::int64_t channels) {
  for (std::size_t stage = 0; stage < blocks.size(); ++stage, channels *= 2) {
    const Scope layer(x.graph(), "layer" + std::to_string(stage + 1));
    for (std::int64_t block = 0; block < blocks[stage]; ++block) {
      const Scope scope(x.graph(), std::to_string(block));
      x = basic_block(x, channels, stage > 0 && block == 0 ? 2 : 1);
    }
  }
  return x;
}

void classify(Var x, const ModelOptions& options) {
  x = nn::flatten(nn::global_avg_pool(x, "avgpool"), "flatten");
  x = nn::linear(x, {.out_features = options.num_classes}, "fc");
  x.graph().set_outputs({x});
}

Var images(Graph& graph, const ModelOptions& options) {
  return graph.input("input", {1, options.in_channels, options.image_size, options.image_size});
}

}  // namespace

Graph cifar_resnet(std::int64_t blocks_per_stage, const ModelOptions& options) {
  Graph graph;
  Var x = images(graph, options);
  x = nn::conv2d(x, {.out_channels = 16, .kernel = 3, .padding = 1, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
  x = stages(x, std::array{blocks_per_stage, blocks_per_stage, blocks_per_stage}, 16);
  classify(x, options);
  return graph;
}

Graph imagenet_resnet(const std::array<std::int64_t, 4>& blocks, const ModelOptions& options) {
  Graph graph;
  Var x = images(graph, options);
  x = nn::conv2d(x, {.out_channels = 64, .kernel = 7, .stride = 2, .padding = 3, .bias = false},
                 "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
  x = nn::max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}, "maxpool");
  x = stages(x, blocks, 64);
  classify(x, options);
  return graph;
}

}  // namespace rung::models
