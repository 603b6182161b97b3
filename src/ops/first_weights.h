#pragma once

#include "rung/graph/graph.h"

namespace rung::nn {

/// Draws the weight and the bias (or nullptr) of a layer that was just added, as PyTorch's layers
/// do: uniform in +-1 / sqrt(fan in). Leaves them zeros if the graph has no seed.
void draw_first_weights(const Graph& graph, Parameter& weight, Parameter* bias);

}  // namespace rung::nn
