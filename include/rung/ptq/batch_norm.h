#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/nn/data.h"
#include "rung/quantsim/quantsim.h"

// What is done about batch norms around quantization. Hardware runs none of its own: they are
// folded into the weights before a QuantizationSimModel is made, or kept while it is trained, then
// re-estimated and folded into the scales of the weight quantizers.

namespace rung::ptq {

/// Names a batch norm that was folded, or is to be, and the layer whose weights take it in.
struct FoldedPair {
  std::string layer;
  std::string batch_norm;
};

/// Names a batch norm that stays, and why.
struct SkippedBatchNorm {
  std::string batch_norm;
  std::string layer;  ///< in front of it; empty if there is none that could take it in
  std::string reason;
};

/// What folding did: every batch norm is in one of the two.
struct FoldResult {
  std::vector<FoldedPair> folded;         ///< in the order they were folded
  std::vector<SkippedBatchNorm> skipped;  ///< in network order
};

struct FoldBatchNormsOptions {
  /// Give the batch norms that stay trivial statistics: mean 0, variance 1, epsilon 0, weight
  /// gamma / sigma and bias beta - mean gamma / sigma. Hardware runs them as scale and shift, so
  /// that is what their quantizers must see. They are `frozen` then: batch statistics would undo
  /// the scale. Parameters that others read become copies.
  bool convert_standalone = true;
};

/// Folds every batch norm into a neighbouring Conv, ConvTranspose or Gemm and removes it, so that
/// outputs in Mode::eval stay the same up to rounding. Backward where possible (layer, then batch
/// norm; W[o] *= gamma / sigma), else forward (batch norm, then a Conv or Gemm without padding and
/// groups: zeros of the padding are not what the batch norm would have made of them). Creates the
/// bias `<layer>.bias` where there was none. Parameters that several batch norms share are only
/// read. Batch norms without such a neighbour stay: at forks, beside other ops, in front of or
/// behind layers whose weights others read; the result says why. Throws Error, with the graph
/// unchanged, if a statistic is negative or not finite. AIMET: fold_all_batch_norms.
RUNG_API FoldResult fold_all_batch_norms(Graph& graph, const FoldBatchNormsOptions& options = {});

/// Lists the batch norms that BatchNormMode::fold_in_simulation leaves as they are, and why;
/// `graph` is the float model.
RUNG_API std::vector<SkippedBatchNorm> batch_norms_not_simulated(const Graph& graph);

/// Folds these batch norms, in this order, backward if the layer stands in front and forward if it
/// stands behind; all others stay as they are. Throws Error, with the graph unchanged, for a pair
/// that is not adjacent or cannot be folded, saying why. AIMET: fold_given_batch_norms.
RUNG_API void fold_given_batch_norms(Graph& graph, const std::vector<FoldedPair>& pairs);

/// Folds the batch norms of a trained sim into the layers in front of them and moves their weight
/// quantizers along, so that weight codes and outputs in Mode::eval stay as trained: with c = gamma
/// / sigma of a channel, W *= c, scale *= |c| and (min, max) *= c, swapped where c < 0; a weight
/// whose code would move because products are rounded is moved back by a few ulps. That needs an
/// affine weight quantizer per channel (or per block of a channel) whose range is not found anew in
/// every step, and nothing quantized between layer and batch norm; others are skipped. The batch
/// norm's output quantizer moves to the layer: `bn.qdq` becomes `conv.qdq`.
///
/// Codes keep their value where c > 0, and become -code where c < 0 (255 - code if asymmetric). A
/// symmetric grid reaches one step further down than up: a negative c turns the code -128 into 127,
/// and 127 into -128 where the weight was clipped by half a step or more. AIMET's does, too; a
/// strict symmetric grid has neither. Where c is 0, or so small that a step would fall below
/// kMinimumScale, the weights vanish and their codes mean nothing. Optimizers made before hold
/// parameters that are gone: make a new one to train on. Throws Error, with nothing changed, if a
/// statistic is negative or not finite. AIMET: fold_all_batch_norms_to_scale.
RUNG_API FoldResult fold_all_batch_norms_to_scale(QuantizationSimModel& sim);

struct ReestimateOptions {
  std::int64_t num_batches = 100;  ///< at most; fewer if the epoch ends before
  /// Runs one batch; empty: executor.forward(batch.images). AIMET: forward_fn.
  std::function<void(Executor& executor, const nn::Batch& batch)> forward = {};
  std::function<void(std::int64_t batch, std::int64_t batches)> on_progress = {};
};

/// Remembers the statistics from before a re-estimation. AIMET: Handle.
class RUNG_API ReestimationHandle {
 public:
  /// Puts the old statistics back; a second call does nothing. The graph must be alive. Throws
  /// Error, with nothing changed, if a batch norm was removed since. AIMET: Handle.remove.
  void undo();

 private:
  friend class Reestimation;
  Graph* graph_ = nullptr;
  std::vector<std::pair<std::string, Tensor>> old_;  // parameter name -> value
};

/// Replaces the running statistics of every batch norm, `frozen` ones too, by the plain average
/// over batches of each batch's mean and unbiased variance. Batch norms normalize by the batch
/// meanwhile, everything else (dropout, quantizers) runs as in Mode::eval. Works on the graph of a
/// sim: statistics then fit the quantized weights. Batch norms that folding has made trivial stay.
/// Throws Error if there is no batch norm, one is folded in simulation (its statistics are in the
/// quantized weight), there is no batch, or a statistic is not finite; then, and if
/// anything else throws, the old statistics are back. AIMET: reestimate_bn_stats.
RUNG_API ReestimationHandle reestimate_bn_stats(Executor& executor, nn::DataLoader& loader,
                                                const ReestimateOptions& options = {});

}  // namespace rung::ptq
