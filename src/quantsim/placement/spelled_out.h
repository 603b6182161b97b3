#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "rung/graph/graph.h"

// Ops that a graph spells out in several nodes.

namespace rung::quantsim {

struct SpelledOutOp {
  std::string_view type;  ///< the ONNX op that they are together
  std::string_view pass;  ///< AIMET's name of the pass that finds it; empty: ours
  /// Returns the nodes in network order if this one is the first of them, or nothing.
  std::vector<const Node*> (*find)(const Node& first);
};

/// Returns all that are known. An earlier one takes precedence.
std::span<const SpelledOutOp> spelled_out_ops();

/// Returns the number that a constant of one element holds; none for another value.
std::optional<float> constant_number(const Value& value);

}  // namespace rung::quantsim
