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
/// LeCun et al. 1998 with ReLU and max pooling: two 5x5 convolutions and three linear layers.
/// Throws Error if the images are smaller than 12 x 12.
RUNG_API Graph lenet(const ModelOptions& options, const Rng& rng);

/// Adds a residual block of two 3x3 convolutions: [N, C, H, W] -> [N, channels, H/stride,
/// W/stride]. Nodes: conv1 bn1 relu1 conv2 bn2 [downsample.0 downsample.1] add relu2, under the
/// open Scopes.
RUNG_API Var basic_block(Var x, std::int64_t channels, std::int64_t stride);

/// Builds the named model; throws Error that lists the names if there is none.
RUNG_API Graph make(std::string_view name, const ModelOptions& options, const Rng& rng);

struct ModelInfo {
  std::string name;
  std::string description;
  std::int64_t parameters = 0;  ///< trainable floats with default ModelOptions
};
/// Lists the models that make() knows.
RUNG_API std::vector<ModelInfo> list();

}  // namespace rung::models
