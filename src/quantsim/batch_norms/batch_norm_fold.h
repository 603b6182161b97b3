#pragma once

#include <vector>

#include "rung/core/tensor.h"
#include "rung/graph/graph.h"
#include "rung/ops/foldable_batch_norms.h"

namespace rung::quantsim {

/// True if the numbers of `value` are a parameter's, as they stand or folded.
bool is_parameter(const Value& value);
/// Returns the numbers that a parameter's quantizer sees: those of the parameter, or of what
/// FoldedWeight or FoldedBias makes of it.
ConstTensor parameter_numbers(const Value& value);

/// Finds the batch norms that can be folded and gives their layers a bias of zeros where there is
/// none, so that the configuration places quantizers as in a folded graph.
std::vector<FoldablePair> prepare_folding(Graph& graph);
/// Replaces the batch norms of the pairs by folding in simulation, around the quantizers there are.
void simulate_folding(Graph& graph, const std::vector<FoldablePair>& pairs);

/// The nodes of one batch norm folded in simulation.
struct FoldedNodes {
  Node *layer, *weight, *bias, *norm;
};
/// Finds them, in network order; throws Error if a FoldedBatchNormalization stands alone.
std::vector<FoldedNodes> find_folded(const Graph& graph);
/// Puts the batch norms back; layers that had no bias keep one of zeros.
void undo_simulated_folding(Graph& graph);

/// Copies the graph with every simulated batch norm folded: what is exported.
Graph folded_copy(const Graph& graph);

}  // namespace rung::quantsim
