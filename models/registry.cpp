#include <array>

#include "core/closest.h"
#include "core/format.h"
#include "models/builders.h"
#include "rung/ops/init.h"

namespace rung::models {
namespace {

using nn::InitScheme;
using Options = const ModelOptions&;

struct Entry {
  std::string_view name;
  std::string_view description;
  Graph (*build)(Options);
  InitScheme init = InitScheme::kaiming_normal_fan_out;
};

constexpr std::array kModels = std::to_array<Entry>({
    {"lenet", "LeCun et al. 1998 with ReLU: two convolutions, three linear layers", lenet_graph,
     InitScheme::kaiming_uniform_fan_in},
    {"resnet8", "residual network for small images, 3 blocks of 16, 32, 64 channels",
     [](Options options) { return cifar_resnet(1, options); }},
    {"resnet20", "residual network for small images, 9 blocks (He et al. 2015, 4.2)",
     [](Options options) { return cifar_resnet(3, options); }},
    {"resnet32", "residual network for small images, 15 blocks",
     [](Options options) { return cifar_resnet(5, options); }},
    {"resnet56", "residual network for small images, 27 blocks",
     [](Options options) { return cifar_resnet(9, options); }},
    {"resnet18", "residual network for ImageNet, torchvision's layers and names",
     [](Options options) {
       return imagenet_resnet({2, 2, 2, 2}, options);
     }},
    {"resnet34", "residual network for ImageNet, torchvision's layers and names",
     [](Options options) {
       return imagenet_resnet({3, 4, 6, 3}, options);
     }},
});

}  // namespace

Graph make(std::string_view name, const ModelOptions& options, const Rng& rng) {
  require(options.in_channels > 0 && options.num_classes > 0 && options.image_size > 0,
          "[{}] in_channels, num_classes and image_size must be at least 1, got {}, {} and {}",
          name, options.in_channels, options.num_classes, options.image_size);
  std::vector<std::string> names;
  for (const Entry& entry : kModels) {
    names.emplace_back(entry.name);
    if (entry.name != name) continue;
    Graph graph = entry.build(options);
    nn::init_parameters(graph, rng, {.conv = entry.init});
    return graph;
  }
  fail("there is no model '{}'; closest: {}; all: {}", name, closest_names(name, names),
       fmt::join(names, ", "));
}

std::vector<ModelInfo> list() {
  std::vector<ModelInfo> result;
  for (const Entry& entry : kModels) {
    const Graph graph = entry.build({});
    std::int64_t count = 0;
    for (const Parameter* parameter : graph.parameters())
      if (parameter->role() != Role::buffer) count += parameter->value().numel();
    result.push_back({std::string(entry.name), std::string(entry.description), count});
  }
  return result;
}

Graph lenet(const ModelOptions& options, const Rng& rng) { return make("lenet", options, rng); }
Graph resnet8(const ModelOptions& options, const Rng& rng) { return make("resnet8", options, rng); }
Graph resnet20(const ModelOptions& options, const Rng& rng) {
  return make("resnet20", options, rng);
}
Graph resnet32(const ModelOptions& options, const Rng& rng) {
  return make("resnet32", options, rng);
}
Graph resnet56(const ModelOptions& options, const Rng& rng) {
  return make("resnet56", options, rng);
}
Graph resnet18(const ModelOptions& options, const Rng& rng) {
  return make("resnet18", options, rng);
}
Graph resnet34(const ModelOptions& options, const Rng& rng) {
  return make("resnet34", options, rng);
}

}  // namespace rung::models
