#pragma once

#include <string>
#include <vector>

#include "ops/norm/fold.h"
#include "rung/graph/graph.h"

namespace rung::ptq {

bool is_batch_norm(const Node& node);
/// Returns the batch norms in network order.
std::vector<Node*> batch_norms(const Graph& graph);

/// Finds the Conv or Gemm directly behind a batch norm whose weight and bias can take it in;
/// `skipped` nodes are stepped over as if they were gone.
FoldTarget forward_fold_target(const Graph& graph, const Node& norm, const NodeSet& skipped = {});

/// Finds the layer of a sim into whose scales the batch norm behind it can be folded; disabled
/// quantizers between the two are no barrier. Throws Error if a statistic is negative or not
/// finite.
FoldTarget scale_fold_target(const Graph& graph, const Node& norm);

/// Says why neither direction is possible: "it follows [Relu relu1], ...; [Add add] follows it,
/// ...".
std::string fold_obstacles(const FoldTarget& backward, const FoldTarget& forward);

/// Returns gamma / sigma per channel, sigma = sqrt(running_var + epsilon). Throws Error naming the
/// channel if a statistic is negative or not finite. All inputs but the first must be parameters.
std::vector<float> gamma_over_sigma(const Node& norm);

/// Returns the layer's weight, also from behind its quantizer.
Parameter& weight_of(const Node& layer);

/// Multiplies the layer's weight and bias by what the batch norm behind it does, and removes it.
void fold_backward(Graph& graph, Node& layer, Node& norm);

/// True if the statistics were made trivial: y = weight * x + bias already.
bool has_trivial_statistics(const Node& norm);

}  // namespace rung::ptq
