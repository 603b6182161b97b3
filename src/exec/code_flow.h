#pragma once

#include <set>
#include <span>
#include <string>

#include "exec/fuse.h"
#include "rung/graph/graph.h"

namespace rung {

/// Where codes flow instead of real numbers: the exact mode of evaluation. A Conv or Gemm whose two
/// inputs come from quantizers, behind ops that only move numbers or straight, sums whole numbers,
/// so that its result depends neither on the order of the sum nor on the machine, and equals what
/// integer hardware computes.
struct CodeFlow {
  std::set<const Node*> takers;    ///< read codes
  std::set<const Node*> carriers;  ///< move codes as they move real numbers
  std::set<const Value*> codes;    ///< needed as codes
  std::set<const Value*> real;     ///< of those, the ones that are needed as real numbers, too
};

/// Finds it in the nodes of an eval plan. The outputs of quantizers that somebody watches, or that
/// are outputs of the graph, stay real as well.
CodeFlow find_code_flow(const Graph& graph, std::span<const FusedNode> nodes,
                        std::span<const std::string> watched);

}  // namespace rung
