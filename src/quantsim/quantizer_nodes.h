#pragma once

#include <memory>
#include <span>
#include <string>

#include "rung/graph/graph.h"
#include "rung/ops/quantize_dequantize.h"

// Quantizers as nodes of the graph: finding them, and putting others in their place.

namespace rung::quantsim {

/// Returns the op that a parameter's or an edge's quantizer serves; throws Error if nobody reads
/// it.
const Node& reader_of(const Node& quantizer);

/// The place that a quantizer had, without one.
struct QuantizerPlaceholder {
  std::string name;
  QuantizerPlace kind;
  Value* source = nullptr;
  Use edge = {};  ///< node is nullptr unless it was on an edge
};
/// Removes the quantizer, and its parameters that nobody else reads.
QuantizerPlaceholder take_out(Graph& graph, Node& quantizer);
/// Puts a quantizer there, under the name of the old one.
Node& put_in(Graph& graph, const QuantizerPlaceholder& place,
             std::unique_ptr<QuantizeDequantize> op, std::span<Value* const> parameters);

}  // namespace rung::quantsim
