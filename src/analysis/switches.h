#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::analysis {

/// Names of quantizer nodes.
using QuantizerSet = std::set<std::string, std::less<>>;

/// Lets exactly these quantizers of the graph work; all others pass everything unchanged. Plans
/// stay as they are.
void enable_only(const Graph& graph, const QuantizerSet& quantizers);

/// Returns the name of the op that a quantizer belongs to: that reads what it makes of a parameter
/// or an edge, or whose output it quantizes; of an input of the network the input's name.
std::string layer_of(const QuantizerHandle& quantizer);

/// Returns the elements of `all` that are not in `some`.
QuantizerSet all_but(const QuantizerSet& all, const QuantizerSet& some);

}  // namespace rung::analysis
