#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "rung/graph/graph.h"

namespace rung::nn {

/// Draws the weight and the bias (or nullptr) of a layer that was just added, as PyTorch's layers
/// do: uniform in +-1 / sqrt(fan in). Leaves them zeros if the graph has no seed.
void draw_first_weights(const Graph& graph, Parameter& weight, Parameter* bias);

/// Draws all of these parameters uniform in +-bound, unless the graph has no seed.
void draw_first_weights(const Graph& graph, std::span<Value* const> parameters, double bound);

/// Returns PyTorch's bound of everything that a recurrent cell owns.
inline double recurrent_bound(std::int64_t hidden_size) {
  return 1.0 / std::sqrt(static_cast<double>(hidden_size));
}

}  // namespace rung::nn
