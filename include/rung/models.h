#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/rng.h"
#include "rung/graph/graph.h"

namespace rung::models {

/// What the input and the classes of a model are.
struct ModelOptions {
  std::int64_t in_channels = 3;
  std::int64_t num_classes = 10;
  std::int64_t image_size = 32;  ///< square; residual networks take any other size at run time too
};

// Every function returns a graph with one input [N, in_channels, size, size], named "input", and
// logits [N, num_classes]. Initial weights are drawn from `rng`, by parameter name.

/// The residual networks for small images of He et al. 2015, section 4.2: 6 n + 2 layers with 16,
/// 32 and 64 channels; where the shape changes the shortcut is a 1x1 convolution (option B).
RUNG_API Graph resnet8(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet20(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet32(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet56(const ModelOptions& options, const Rng& rng);
/// The residual networks for ImageNet, with torchvision's layers and parameter names.
RUNG_API Graph resnet18(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet34(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet50(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet101(const ModelOptions& options, const Rng& rng);
RUNG_API Graph resnet152(const ModelOptions& options, const Rng& rng);
/// Xie et al. 2016: 32 groups of 4 channels; Zagoruyko and Komodakis 2016: twice as wide inside.
RUNG_API Graph resnext50_32x4d(const ModelOptions& options, const Rng& rng);
RUNG_API Graph wide_resnet50_2(const ModelOptions& options, const Rng& rng);
/// Sandler et al. 2018, width 1, with torchvision's layers and parameter names.
RUNG_API Graph mobilenet_v2(const ModelOptions& options, const Rng& rng);
/// Simonyan and Zisserman 2014, with torchvision's layers and parameter names. Throws Error if
/// image_size is not 224 or a multiple of it (up to 31 pixels more are cut off).
RUNG_API Graph vgg11(const ModelOptions& options, const Rng& rng);
RUNG_API Graph vgg11_bn(const ModelOptions& options, const Rng& rng);
RUNG_API Graph vgg16(const ModelOptions& options, const Rng& rng);
RUNG_API Graph vgg16_bn(const ModelOptions& options, const Rng& rng);
/// LeCun et al. 1998 with ReLU and max pooling: two 5x5 convolutions and three linear layers.
/// Throws Error if the images are smaller than 12 x 12.
RUNG_API Graph lenet(const ModelOptions& options, const Rng& rng);

/// Adds a residual block of two 3x3 convolutions: [N, C, H, W] -> [N, channels, H/stride,
/// W/stride]. Nodes: conv1 bn1 relu1 conv2 bn2 [downsample.0 downsample.1] add relu2, under the
/// open Scopes.
RUNG_API Var basic_block(Var x, std::int64_t channels, std::int64_t stride);

struct BottleneckOptions {
  std::int64_t channels = 0;          ///< a quarter of what comes out
  std::int64_t stride = 1;            ///< of the 3x3 convolution
  std::int64_t groups = 1;            ///< of the 3x3 convolution
  std::int64_t width_per_group = 64;  ///< the 3x3 has channels / 64 times this, in each group
};
/// Adds a residual block of a 1x1, a 3x3 and a 1x1 convolution: [N, C, H, W] -> [N, 4 * channels,
/// H/stride, W/stride]. Nodes: conv1 bn1 relu1 conv2 bn2 relu2 conv3 bn3 [downsample.0
/// downsample.1] add relu3, under the open Scopes.
RUNG_API Var bottleneck_block(Var x, const BottleneckOptions& options);

struct InvertedResidualOptions {
  std::int64_t channels = 0;
  std::int64_t stride = 1;
  std::int64_t expansion = 6;  ///< channels inside, as a multiple of those that come in
};
/// Adds MobileNetV2's block, 1x1 (unless expansion is 1), depthwise 3x3 and 1x1 convolution, and
/// the sum with x if the shape stays: [N, C, H, W] -> [N, channels, H/stride, W/stride]. Nodes:
/// conv.0.0 conv.0.1 conv.0.2 ... as in torchvision, and add, under the open Scopes.
RUNG_API Var inverted_residual(Var x, const InvertedResidualOptions& options);

/// Builds the named model with weights of zero, for io::load_weights to fill; throws Error that
/// lists the names if there is none.
RUNG_API Graph build(std::string_view name, const ModelOptions& options);
/// Builds the named model and draws its weights.
RUNG_API Graph make(std::string_view name, const ModelOptions& options, const Rng& rng);

struct ModelInfo {
  std::string name;
  std::string description;
  ModelOptions options = {};    ///< the images and classes that the model was designed for
  std::int64_t parameters = 0;  ///< trainable floats with these options
};
/// Lists the models that make() knows.
RUNG_API std::vector<ModelInfo> list();

}  // namespace rung::models
