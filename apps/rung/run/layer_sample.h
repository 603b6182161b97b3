#pragma once

#include <string>
#include <vector>

#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

namespace rung::cli {

/// Returns the layers of a float graph to show, Conv of two axes and Gemm: those of these names, or
/// the first, the middle and the last one. Throws Error for a name that is no such layer.
std::vector<const Node*> layers_to_show(const Graph& graph, const std::vector<std::string>& names);

/// Runs images [N, C, H, W] and returns a list of JSON, an object for each layer: {"name", "op",
/// "stride", "dilation", "per_group": output channels of a group, "weight": {"shape", "values"},
/// "input": {"shape", "values"}}. Of large tensors there are the first output channels, and the
/// middle of as many images as fit.
std::string sample_layers(Graph& graph, const std::vector<const Node*>& layers,
                          const Tensor& images);

}  // namespace rung::cli
