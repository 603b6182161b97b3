#pragma once

#include <map>
#include <string>

#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

// What files may hold is more than what networks can compute with.

namespace rung::io {

/// Throws Error that names the node if a batch norm has a variance that is negative or not finite,
/// or a quantizer a range from which no grid follows: with min above max, or not finite.
void check_values(const Graph& graph);

/// Throws Error that names the channel if `value` is to be the parameter of this name and cannot
/// be: the part of check_values() that concerns batch norms.
void check_variance(const Graph& graph, const std::string& name, const ConstTensor& value);

/// Returns the learned ranges of a graph that a step of training has made illegal, by name, as they
/// will be before anything reads them. What is saved passes check_values().
std::map<std::string, Tensor> legal_ranges(const Graph& graph);

}  // namespace rung::io
