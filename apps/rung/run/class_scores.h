#pragma once

#include <span>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/nn/loss.h"

namespace rung::cli {

/// What the outputs of a classifier mean: networks from elsewhere may end in Softmax or Sigmoid,
/// and must not be softmaxed again.
class ClassScores {
 public:
  /// Looks at the end of the graph, through what only views, names, clips or quantizes numbers.
  explicit ClassScores(const Graph& graph);

  /// Empty, "Softmax" or "Sigmoid": what turns logits into the output. LogSoftmax needs nothing:
  /// its numbers are logits, too.
  const std::string& activation() const { return activation_; }
  /// True if a quantizer stands behind the activation, so that the output says less than the
  /// logits.
  bool quantized() const { return quantized_; }

  /// Makes an executor keep the logits. Does nothing without an activation.
  void watch(Executor& executor) const;
  /// Undoes watch().
  void unwatch(Executor& executor) const;
  /// Returns the logits [N, C] of the last forward, whose output is given; the output itself
  /// without an activation.
  Tensor logits(const Executor& executor, const Tensor& output) const;
  /// Returns cross entropy of the logits, with its gradient by the output. The executor, which must
  /// outlive it, must keep the logits.
  nn::LossFunction loss(const Executor& executor, const nn::CrossEntropyOptions& options) const;
  /// Returns the probabilities that the output of one image means.
  std::vector<double> probabilities(std::span<const float> output) const;

 private:
  std::string activation_, logits_;
  bool quantized_ = false;
};

}  // namespace rung::cli
