#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "rung/graph/graph.h"

namespace rung {

/// A node as the plan runs it: one node of the graph, or a chain of them in one kernel.
struct FusedNode {
  const Node* node = nullptr;            ///< the first of the chain: the one that is compiled
  std::vector<const Node*> joined = {};  ///< those behind it, in order:
  const Node* quantizer_before_add = nullptr;
  bool add = false, relu = false;
  const Node* quantizer = nullptr;
  std::vector<Value*> inputs, outputs;  ///< outputs are those of the last of the chain
  std::string name() const;
};

/// Lists the graph's nodes in order, those that can (Conv, BatchNormalization, Add) joined with the
/// Relu and, in training, the QuantizeDequantize behind them; also with the Add before those,
/// BatchNormalization in training and Conv in evaluation. Always the value between them has no
/// other reader, is not watched and no output; an Add takes part only if its operands have equal
/// `shapes`, those of the plan. The graph is not changed.
std::vector<FusedNode> fuse(const Graph& graph, const std::map<const Value*, Shape>& shapes,
                            std::span<const std::string> watched, Mode mode, bool enabled);

}  // namespace rung
