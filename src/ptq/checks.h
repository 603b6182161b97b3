#pragma once

#include <vector>

#include "ops/norm/fold.h"
#include "rung/graph/graph.h"
#include "rung/ptq/validate.h"

// The checks of ModelValidator. Each looks at one thing.

namespace rung::ptq {

/// Returns the nodes that an output of the graph depends on.
NodeSet live_nodes(const Graph& graph);

std::vector<Finding> check_structure(const Graph& graph);
std::vector<Finding> check_ops(const Graph& graph);
std::vector<Finding> check_parameters(const Graph& graph);
std::vector<Finding> check_shared_parameters(const Graph& graph);
std::vector<Finding> check_batch_norm_values(const Graph& graph);
std::vector<Finding> check_foldability(const Graph& graph);
std::vector<Finding> check_quantizers(const Graph& graph);
std::vector<Finding> check_dead_nodes(const Graph& graph);

}  // namespace rung::ptq
