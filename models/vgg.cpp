#include <optional>
#include <string>

#include "core/check.h"
#include "models/builders.h"
#include "rung/ops/layers.h"

namespace rung::models {
namespace {

constexpr std::int64_t kPooled = 7;  // height and width of what the first linear layer sees
constexpr std::int64_t kHalvings = 32;

// Averages to 7 x 7, torch's AdaptiveAvgPool2d(7), which changes nothing at 224 pixels.
Var pool(Var x) {
  const std::int64_t factor = x.shape()[2] / kPooled;
  return factor == 1 ? x : nn::avg_pool2d(x, {.kernel = factor}, "avgpool");
}

Var features(Var x, const VggLayers& layers) {
  const Scope scope(x.graph(), "features");
  int index = 0;
  const auto next = [&] { return std::to_string(index++); };
  std::int64_t channels = 64;
  for (const std::int64_t count : layers.convolutions) {
    for (std::int64_t i = 0; i < count; ++i) {
      x = nn::conv2d(x, {.out_channels = channels, .kernel = 3, .padding = 1}, next());
      if (layers.norm == VggNorm::batch_norm) x = nn::batch_norm2d(x, {}, next());
      x = nn::relu(x, next());
    }
    x = nn::max_pool2d(x, {.kernel = 2}, next());
    channels = std::min<std::int64_t>(2 * channels, 512);
  }
  return x;
}

}  // namespace

Graph vgg(const VggLayers& layers, const ModelOptions& options) {
  const std::int64_t extent = options.image_size / kHalvings;
  require(extent > 0 && extent % kPooled == 0,
          "vgg needs images of 224 x 224 pixels or a multiple of it, got {} x {}",
          options.image_size, options.image_size);
  Graph graph;
  graph.set_seed(std::nullopt);  // the registry draws weights, or a file brings them
  Var x = pool(features(images(graph, options), layers));
  x = nn::flatten(x, "flatten");
  const Scope scope(graph, "classifier");
  x = nn::relu(nn::linear(x, {.out_features = 4096}, "0"), "1");
  x = nn::dropout(x, {.ratio = 0.5f}, "2");
  x = nn::relu(nn::linear(x, {.out_features = 4096}, "3"), "4");
  x = nn::dropout(x, {.ratio = 0.5f}, "5");
  x = nn::linear(x, {.out_features = options.num_classes}, "6");
  graph.set_outputs({x});
  return graph;
}

}  // namespace rung::models
