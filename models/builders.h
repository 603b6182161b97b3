#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "rung/graph/graph.h"
#include "rung/models.h"

// The graphs of the models, with weights of zero; registry.cpp names them and draws the weights.

namespace rung::models {

/// Adds the input of every model: "input", [1, in_channels, image_size, image_size].
Var images(Graph& graph, const ModelOptions& options);

/// Builds the 6 n + 2 layers of He et al. 2015, section 4.2, with n blocks in each of 3 stages.
Graph cifar_resnet(std::int64_t blocks_per_stage, const ModelOptions& options);

enum class ResidualBlock { basic, bottleneck };

/// The layers of a residual network for ImageNet, torchvision's ResNet.
struct ResNetLayers {
  ResidualBlock block = ResidualBlock::basic;
  std::array<std::int64_t, 4> blocks{};  ///< in each stage
  std::int64_t groups = 1;               ///< of bottlenecks, see BottleneckOptions
  std::int64_t width_per_group = 64;
};
/// Builds torchvision's ResNet, ResNeXt or Wide ResNet.
Graph imagenet_resnet(const ResNetLayers& layers, const ModelOptions& options);

/// Builds torchvision's MobileNetV2 of width 1 (Sandler et al. 2018).
Graph mobilenet_v2_graph(const ModelOptions& options);

enum class VggNorm { none, batch_norm };

/// The convolutions of a VGG: how many of them stand before each of the five poolings.
struct VggLayers {
  std::array<std::int64_t, 5> convolutions{};
  VggNorm norm = VggNorm::none;
};
/// Builds torchvision's VGG (Simonyan and Zisserman 2014). Throws Error if the image size divided
/// by 32 is no multiple of 7, the extent that the first linear layer expects.
Graph vgg(const VggLayers& layers, const ModelOptions& options);

/// Builds LeCun et al. 1998 with ReLU and max pooling.
Graph lenet_graph(const ModelOptions& options);

}  // namespace rung::models
