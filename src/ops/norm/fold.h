#pragma once

#include <set>
#include <string>
#include <string_view>

#include "rung/graph/graph.h"

namespace rung {

/// The layer next to a batch norm, and what keeps the two from being folded.
struct FoldTarget {
  Node* layer = nullptr;  ///< nullptr if the neighbour is no layer
  std::string obstacle;   ///< a clause: "it follows [Relu relu1], not a Conv or Gemm"
  bool possible() const { return obstacle.empty(); }
};

using NodeSet = std::set<const Node*>;

/// Returns what keeps `value` from being an inner value of a chain: it is a graph output, or not
/// read exactly once. Empty if nothing does.
std::string chain_obstacle(const Graph& graph, const Value& value);

/// Returns which input from `first` on is no parameter that this node alone reads; empty if none.
std::string parameter_obstacle(const Node& node, std::size_t first = 1);

/// Returns which input of a batch norm but the first is no parameter; empty if all are. That others
/// read them as well does not matter: folding only reads them.
std::string norm_obstacle(const Node& norm);

/// Returns the name of the bias that folding would create for a layer without one.
std::string new_bias_name(const Node& layer);
/// Returns why it cannot be created; empty if it can, or if there is a bias.
std::string bias_obstacle(const Graph& graph, const Node& layer);

/// Finds the layer directly in front of a batch norm, without looking at parameters. `skipped`
/// nodes are stepped over as if they were gone.
FoldTarget layer_in_front(const Graph& graph, const Node& norm, const NodeSet& skipped = {});

/// Finds the layer whose weight and bias can take in the batch norm behind it.
FoldTarget backward_fold_target(const Graph& graph, const Node& norm, const NodeSet& skipped = {});

}  // namespace rung
