#pragma once

#include <cstdint>
#include <string_view>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// Norms that look at one image alone: y = (x - mean) / sqrt(var + epsilon) * weight + bias, with
// the (biased) statistics of a group of neighbouring elements, in training and evaluation alike.
// Each function adds `name`.weight (1) and `name`.bias (0). Batch norms stand in rung/ops/layers.h.

namespace rung::nn {

struct LayerNormOptions {
  std::int64_t axis = -1;  ///< a group is everything from this axis on
  float epsilon = 1e-5f;
};
/// Adds a LayerNormalization; weight and bias have the shape of a group. ONNX: LayerNormalization;
/// torch.nn.LayerNorm (Ba et al. 2016).
RUNG_API Var layer_norm(Var x, const LayerNormOptions& options, std::string_view name);

struct InstanceNormOptions {
  float epsilon = 1e-5f;
};
/// Adds an InstanceNormalization of x [N, C, ...], a group being a channel; weight and bias are
/// [C]. ONNX: InstanceNormalization; torch.nn.InstanceNorm2d with affine (Ulyanov et al. 2016).
RUNG_API Var instance_norm(Var x, const InstanceNormOptions& options, std::string_view name);

struct GroupNormOptions {
  std::int64_t groups = 1;  ///< into which the channels are cut
  float epsilon = 1e-5f;
};
/// Adds a GroupNormalization of x [N, C, ...], a group being C / groups channels; weight and bias
/// are [C]. ONNX: GroupNormalization (opset 21); torch.nn.GroupNorm (Wu and He 2018).
RUNG_API Var group_norm(Var x, const GroupNormOptions& options, std::string_view name);

}  // namespace rung::nn
