#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung {

/// Nodes that feed each other, producers first.
using Chain = std::vector<Node*>;

struct ChainOptions {
  /// Nodes that a chain steps over as if they were not there (they are not part of the result):
  /// batch norms that will be folded, quantizers. Null: none.
  std::function<bool(const Node&)> transparent;
};

/// Returns the only node that reads `node`'s only output, or nullptr if several do, or none, or if
/// the output is also an output of the graph: then the value is needed as it stands.
RUNG_API Node* only_consumer(const Graph& graph, const Node& node);

/// Finds every chain of nodes with these op types (ONNX names) in which each node's output is read
/// by the next node alone, in the order of their first nodes. Chains may overlap. This one matcher
/// serves batch norm folding, supergroups (AIMET) and fusion. Throws Error if `types` is empty.
RUNG_API std::vector<Chain> find_chains(const Graph& graph, const std::vector<std::string>& types,
                                        const ChainOptions& options = {});

}  // namespace rung
