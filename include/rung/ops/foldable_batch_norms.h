#pragma once

#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung {

/// A Conv, ConvTranspose or Gemm and the batch norm behind it that can be folded into its weights.
struct FoldablePair {
  Node* layer = nullptr;
  Node* batch_norm = nullptr;
};

/// Finds the batch norms that directly follow such a layer whose weight (and bias) nobody else
/// reads: AIMET folds these backward, and ignores them when it matches supergroups.
RUNG_API std::vector<FoldablePair> find_foldable_batch_norms(const Graph& graph);

}  // namespace rung
