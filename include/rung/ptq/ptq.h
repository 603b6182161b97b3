#pragma once

#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung::ptq {

/// Names a batch norm that was folded and the Conv or Gemm whose weights took it in.
struct FoldedPair {
  std::string layer;
  std::string batch_norm;
};

/// Folds every batch norm into a neighbouring Conv or Gemm and removes it, so that outputs in
/// Mode::eval stay the same up to rounding: first backward (layer, then batch norm; W[o] *= gamma /
/// sigma), then forward (batch norm, then a layer without padding and groups). Creates the bias
/// `<layer>.bias` where there was none. Batch norms without such a neighbour, or whose neighbour
/// shares its weights, stay. Returns the pairs, in the order they were folded; throws Error, with
/// the graph unchanged, if a statistic is negative or not finite. AIMET: fold_all_batch_norms.
RUNG_API std::vector<FoldedPair> fold_all_batch_norms(Graph& graph);

}  // namespace rung::ptq
