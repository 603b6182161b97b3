#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

namespace agreement {

/// Returns the real numbers behind a quantizer in ONNX Runtime.
using Boundary = std::function<rung::Tensor(const rung::Node& quantizer)>;

/// What a quantizer gets and what it makes of it.
struct LayerOutput {
  rung::Tensor real;
  std::vector<std::int32_t> codes;
};

/// Runs what lies between the quantizers before a quantizer and the quantizer itself: each of the
/// former gets what `boundary` says, an input of the graph gets `x`.
LayerOutput run_layer(const rung::Graph& graph, const rung::Node& quantizer, const rung::Tensor& x,
                      const Boundary& boundary);

}  // namespace agreement
