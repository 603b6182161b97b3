#include <optional>
#include <string>

#include "models/builders.h"
#include "rung/ops/layers.h"

namespace rung::models {
namespace {

struct Stage {
  std::int64_t expansion, channels, blocks, stride;
};
// Table 2 of the paper.
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

// Convolution, batch norm and ReLU6, named <name>.0, .1 and .2; the image shrinks by the stride
// only.
Var conv_norm_relu6(Var x, nn::Conv2dOptions options, std::string_view name) {
  const Scope scope(x.graph(), name);
  options.padding = (options.kernel - 1) / 2;
  options.bias = false;
  x = nn::conv2d(x, options, "0");
  return nn::relu6(nn::batch_norm2d(x, {}, "1"), "2");
}

}  // namespace

Var inverted_residual(Var x, const InvertedResidualOptions& options) {
  const std::int64_t width = x.channels() * options.expansion;
  Var y = x;
  {
    const Scope scope(x.graph(), "conv");
    int index = 0;  // as in torch's Sequential
    const auto next = [&] { return std::to_string(index++); };
    if (options.expansion != 1)
      y = conv_norm_relu6(y, {.out_channels = width, .kernel = 1}, next());
    y = conv_norm_relu6(
        y, {.out_channels = width, .kernel = 3, .stride = options.stride, .groups = width}, next());
    y = nn::conv2d(y, {.out_channels = options.channels, .kernel = 1, .bias = false}, next());
    y = nn::batch_norm2d(y, {}, next());
  }
  return options.stride == 1 && x.channels() == options.channels ? nn::add(x, y, "add") : y;
}

Graph mobilenet_v2_graph(const ModelOptions& options) {
  Graph graph;
  graph.set_seed(std::nullopt);  // the registry draws weights, or a file brings them
  Var x = images(graph, options);
  {
    const Scope scope(graph, "features");
    int index = 0;
    const auto next = [&] { return std::to_string(index++); };
    x = conv_norm_relu6(x, {.out_channels = 32, .kernel = 3, .stride = 2}, next());
    for (const Stage& stage : kStages) {
      for (std::int64_t block = 0; block < stage.blocks; ++block) {
        const Scope inner(graph, next());
        x = inverted_residual(x, {.channels = stage.channels,
                                  .stride = block == 0 ? stage.stride : 1,
                                  .expansion = stage.expansion});
      }
    }
    x = conv_norm_relu6(x, {.out_channels = 1280, .kernel = 1}, next());
  }
  x = nn::flatten(nn::global_avg_pool(x, "avgpool"), "flatten");
  const Scope scope(graph, "classifier");
  x = nn::dropout(x, {.ratio = 0.2f}, "0");
  x = nn::linear(x, {.out_features = options.num_classes}, "1");
  graph.set_outputs({x});
  return graph;
}

}  // namespace rung::models
