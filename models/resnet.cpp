#include <optional>
#include <span>
#include <string>

#include "models/builders.h"
#include "rung/ops/layers.h"

namespace rung::models {

namespace {

// The way around a block: the identity, or a 1x1 convolution where the shape changes.
Var shortcut(Var x, std::int64_t channels, std::int64_t stride) {
  if (stride == 1 && x.channels() == channels) return x;
  const Scope scope(x.graph(), "downsample");  // names <block>.downsample.0 and .1, as in PyTorch
  x = nn::conv2d(x, {.out_channels = channels, .kernel = 1, .stride = stride, .bias = false}, "0");
  return nn::batch_norm2d(x, {}, "1");
}

}  // namespace

Var basic_block(Var x, std::int64_t channels, std::int64_t stride) {
  Var y = nn::conv2d(
      x, {.out_channels = channels, .kernel = 3, .stride = stride, .padding = 1, .bias = false},
      "conv1");
  y = nn::relu(nn::batch_norm2d(y, {}, "bn1"), "relu1");
  y = nn::conv2d(y, {.out_channels = channels, .kernel = 3, .padding = 1, .bias = false}, "conv2");
  y = nn::batch_norm2d(y, {}, "bn2");
  return nn::relu(nn::add(y, shortcut(x, channels, stride), "add"), "relu2");
}

Var bottleneck_block(Var x, const BottleneckOptions& options) {
  const std::int64_t width = options.channels * options.width_per_group / 64 * options.groups;
  const std::int64_t out_channels = 4 * options.channels;
  Var y = nn::conv2d(x, {.out_channels = width, .kernel = 1, .bias = false}, "conv1");
  y = nn::relu(nn::batch_norm2d(y, {}, "bn1"), "relu1");
  y = nn::conv2d(y,
                 {.out_channels = width,
                  .kernel = 3,
                  .stride = options.stride,
                  .padding = 1,
                  .groups = options.groups,
                  .bias = false},
                 "conv2");
  y = nn::relu(nn::batch_norm2d(y, {}, "bn2"), "relu2");
  y = nn::conv2d(y, {.out_channels = out_channels, .kernel = 1, .bias = false}, "conv3");
  y = nn::batch_norm2d(y, {}, "bn3");
  return nn::relu(nn::add(y, shortcut(x, out_channels, options.stride), "add"), "relu3");
}

namespace {

// The stages layer1, layer2, ...: each halves the image, but for the first, and doubles the
// channels. add_block(x, channels, stride) adds one block.
template <typename AddBlock>
Var stages(Var x, std::span<const std::int64_t> blocks, std::int64_t channels,
           const AddBlock& add_block) {
  for (std::size_t stage = 0; stage < blocks.size(); ++stage, channels *= 2) {
    const Scope layer(x.graph(), "layer" + std::to_string(stage + 1));
    for (std::int64_t block = 0; block < blocks[stage]; ++block) {
      const Scope scope(x.graph(), std::to_string(block));
      x = add_block(x, channels, stage > 0 && block == 0 ? 2 : 1);
    }
  }
  return x;
}

void classify(Var x, const ModelOptions& options) {
  x = nn::flatten(nn::global_avg_pool(x, "avgpool"), "flatten");
  x = nn::linear(x, {.out_features = options.num_classes}, "fc");
  x.graph().set_outputs({x});
}

}  // namespace

Var images(Graph& graph, const ModelOptions& options) {
  return graph.input("input", {1, options.in_channels, options.image_size, options.image_size});
}

Graph cifar_resnet(std::int64_t blocks_per_stage, const ModelOptions& options) {
  Graph graph;
  graph.set_seed(std::nullopt);  // the registry draws weights, or a file brings them
  Var x = images(graph, options);
  x = nn::conv2d(x, {.out_channels = 16, .kernel = 3, .padding = 1, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
  x = stages(x, std::array{blocks_per_stage, blocks_per_stage, blocks_per_stage}, 16, basic_block);
  classify(x, options);
  return graph;
}

Graph imagenet_resnet(const ResNetLayers& layers, const ModelOptions& options) {
  Graph graph;
  graph.set_seed(std::nullopt);  // the registry draws weights, or a file brings them
  Var x = images(graph, options);
  x = nn::conv2d(x, {.out_channels = 64, .kernel = 7, .stride = 2, .padding = 3, .bias = false},
                 "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
  x = nn::max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}, "maxpool");
  x = stages(x, layers.blocks, 64, [&](Var y, std::int64_t channels, std::int64_t stride) {
    if (layers.block == ResidualBlock::basic) return basic_block(y, channels, stride);
    return bottleneck_block(y, {.channels = channels,
                                .stride = stride,
                                .groups = layers.groups,
                                .width_per_group = layers.width_per_group});
  });
  classify(x, options);
  return graph;
}

}  // namespace rung::models
