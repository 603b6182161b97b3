#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/join.h"
#include "models/builders.h"
#include "rung/core/closest.h"
#include "rung/ops/init.h"

namespace rung::models {
namespace {

using nn::InitScheme;
using Options = const ModelOptions&;

struct Entry {
  std::string_view name;
  std::string_view description;
  Graph (*build)(Options);
  ModelOptions options;
  nn::InitOptions init;
};

constexpr ModelOptions kSmall = {.in_channels = 3, .num_classes = 10, .image_size = 32};
constexpr ModelOptions kImageNet = {.in_channels = 3, .num_classes = 1000, .image_size = 224};
// torchvision's initial weights: of lenet those of torch's layers.
constexpr nn::InitOptions kLayers = {.conv = InitScheme::kaiming_uniform_fan_in};
constexpr nn::InitOptions kResidual = {.conv = InitScheme::kaiming_normal_fan_out};
constexpr nn::InitOptions kSmallLinear = {.conv = InitScheme::kaiming_normal_fan_out,
                                          .linear = InitScheme::normal_0_01,
                                          .bias = nn::BiasInit::zeros};

constexpr std::array kModels = std::to_array<Entry>({
    {"lenet", "LeCun et al. 1998 with ReLU: two convolutions, three linear layers", lenet_graph,
     kSmall, kLayers},
    {"resnet8", "residual network for small images, 3 blocks of 16, 32, 64 channels",
     [](Options options) { return cifar_resnet(1, options); }, kSmall, kResidual},
    {"resnet20", "residual network for small images, 9 blocks (He et al. 2015, 4.2)",
     [](Options options) { return cifar_resnet(3, options); }, kSmall, kResidual},
    {"resnet32", "residual network for small images, 15 blocks",
     [](Options options) { return cifar_resnet(5, options); }, kSmall, kResidual},
    {"resnet56", "residual network for small images, 27 blocks",
     [](Options options) { return cifar_resnet(9, options); }, kSmall, kResidual},
    {"resnet18", "residual network for ImageNet, as all that follow torchvision's",
     [](Options options) {
       return imagenet_resnet({.blocks = {2, 2, 2, 2}}, options);
     },
     kImageNet, kResidual},
    {"resnet34", "residual network for ImageNet, 16 basic blocks",
     [](Options options) {
       return imagenet_resnet({.blocks = {3, 4, 6, 3}}, options);
     },
     kImageNet, kResidual},
    {"resnet50", "residual network for ImageNet, 16 bottlenecks",
     [](Options options) {
       return imagenet_resnet({.block = ResidualBlock::bottleneck, .blocks = {3, 4, 6, 3}},
                              options);
     },
     kImageNet, kResidual},
    {"resnet101", "residual network for ImageNet, 33 bottlenecks",
     [](Options options) {
       return imagenet_resnet({.block = ResidualBlock::bottleneck, .blocks = {3, 4, 23, 3}},
                              options);
     },
     kImageNet, kResidual},
    {"resnet152", "residual network for ImageNet, 50 bottlenecks",
     [](Options options) {
       return imagenet_resnet({.block = ResidualBlock::bottleneck, .blocks = {3, 8, 36, 3}},
                              options);
     },
     kImageNet, kResidual},
    {"resnext50_32x4d", "resnet50 with 3x3 convolutions in 32 groups (Xie et al. 2016)",
     [](Options options) {
       return imagenet_resnet({.block = ResidualBlock::bottleneck,
                               .blocks = {3, 4, 6, 3},
                               .groups = 32,
                               .width_per_group = 4},
                              options);
     },
     kImageNet, kResidual},
    {"wide_resnet50_2", "resnet50 with bottlenecks of twice the width",
     [](Options options) {
       return imagenet_resnet(
           {.block = ResidualBlock::bottleneck, .blocks = {3, 4, 6, 3}, .width_per_group = 128},
           options);
     },
     kImageNet, kResidual},
    {"mobilenet_v2", "inverted residuals, depthwise convolutions (Sandler et al. 2018)",
     mobilenet_v2_graph, kImageNet, kSmallLinear},
    {"vgg11", "8 convolutions, 3 large linear layers (Simonyan, Zisserman 2014)",
     [](Options options) {
       return vgg({.convolutions = {1, 1, 2, 2, 2}}, options);
     },
     kImageNet, kSmallLinear},
    {"vgg11_bn", "vgg11 with batch norms",
     [](Options options) {
       return vgg({.convolutions = {1, 1, 2, 2, 2}, .norm = VggNorm::batch_norm}, options);
     },
     kImageNet, kSmallLinear},
    {"vgg16", "13 convolutions, 3 large linear layers",
     [](Options options) {
       return vgg({.convolutions = {2, 2, 3, 3, 3}}, options);
     },
     kImageNet, kSmallLinear},
    {"vgg16_bn", "vgg16 with batch norms",
     [](Options options) {
       return vgg({.convolutions = {2, 2, 3, 3, 3}, .norm = VggNorm::batch_norm}, options);
     },
     kImageNet, kSmallLinear},
});

const Entry& entry_of(std::string_view name) {
  const auto found = std::ranges::find(kModels, name, &Entry::name);
  if (found != kModels.end()) return *found;
  std::vector<std::string> names;
  for (const Entry& entry : kModels) names.emplace_back(entry.name);
  fail("there is no model '{}'; closest: {}; all: {}", name, closest_names(name, names),
       join(names));
}

}  // namespace

Graph build(std::string_view name, const ModelOptions& options) {
  require(options.in_channels > 0 && options.num_classes > 0 && options.image_size > 0,
          "[{}] in_channels, num_classes and image_size must be at least 1, got {}, {} and {}",
          name, options.in_channels, options.num_classes, options.image_size);
  return entry_of(name).build(options);
}

Graph make(std::string_view name, const ModelOptions& options, const Rng& rng) {
  Graph graph = build(name, options);
  nn::init_parameters(graph, rng, entry_of(name).init);
  return graph;
}

std::vector<ModelInfo> list() {
  std::vector<ModelInfo> result;
  for (const Entry& entry : kModels) {
    const Graph graph = entry.build(entry.options);
    std::int64_t count = 0;
    for (const Parameter* parameter : graph.parameters())
      if (parameter->role() != Role::buffer) count += parameter->value().numel();
    result.push_back(
        {std::string(entry.name), std::string(entry.description), entry.options, count});
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
Graph resnet50(const ModelOptions& options, const Rng& rng) {
  return make("resnet50", options, rng);
}
Graph resnet101(const ModelOptions& options, const Rng& rng) {
  return make("resnet101", options, rng);
}
Graph resnet152(const ModelOptions& options, const Rng& rng) {
  return make("resnet152", options, rng);
}
Graph resnext50_32x4d(const ModelOptions& options, const Rng& rng) {
  return make("resnext50_32x4d", options, rng);
}
Graph wide_resnet50_2(const ModelOptions& options, const Rng& rng) {
  return make("wide_resnet50_2", options, rng);
}
Graph mobilenet_v2(const ModelOptions& options, const Rng& rng) {
  return make("mobilenet_v2", options, rng);
}
Graph vgg11(const ModelOptions& options, const Rng& rng) { return make("vgg11", options, rng); }
Graph vgg11_bn(const ModelOptions& options, const Rng& rng) {
  return make("vgg11_bn", options, rng);
}
Graph vgg16(const ModelOptions& options, const Rng& rng) { return make("vgg16", options, rng); }
Graph vgg16_bn(const ModelOptions& options, const Rng& rng) {
  return make("vgg16_bn", options, rng);
}

}  // namespace rung::models
