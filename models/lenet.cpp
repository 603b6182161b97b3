#include <optional>

#include "core/check.h"
#include "models/builders.h"
#include "rung/ops/layers.h"

namespace rung::models {

Graph lenet_graph(const ModelOptions& options) {
  require(options.image_size >= 12, "lenet needs images of at least 12 x 12 pixels, got {} x {}",
          options.image_size, options.image_size);
  Graph graph;
  graph.set_seed(std::nullopt);  // the registry draws weights, or a file brings them
  Var x = graph.input("input", {1, options.in_channels, options.image_size, options.image_size});
  x = nn::conv2d(x, {.out_channels = 6, .kernel = 5, .padding = 2}, "conv1");
  x = nn::max_pool2d(nn::relu(x, "relu1"), {.kernel = 2}, "pool1");
  x = nn::conv2d(x, {.out_channels = 16, .kernel = 5}, "conv2");
  x = nn::max_pool2d(nn::relu(x, "relu2"), {.kernel = 2}, "pool2");
  x = nn::flatten(x, "flatten");
  x = nn::relu(nn::linear(x, {.out_features = 120}, "fc1"), "relu3");
  x = nn::relu(nn::linear(x, {.out_features = 84}, "fc2"), "relu4");
  x = nn::linear(x, {.out_features = options.num_classes}, "fc3");
  graph.set_outputs({x});
  return graph;
}

}  // namespace rung::models
