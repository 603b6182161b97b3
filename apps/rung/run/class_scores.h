#pragma once

#include <cstdint>
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
  /// Looks at the end of the graph, through what only moves, names, clips or quantizes numbers.
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
  std::int64_t classes_axis_ = 1;  // of the logits; one axis of theirs counts images, or none
  bool quantized_ = false;
};

// Networks may compute probabilities in other ways than with Softmax. Their outputs show it.

/// True if the numbers of no row [classes] are negative, and those of each sum to 1 (within 1e-3).
bool are_probabilities(std::span<const float> output, std::int64_t classes);
/// Returns the mean cross entropy of probabilities [N, C].
double log_loss(std::span<const float> probabilities, std::span<const std::int64_t> labels);
/// What is said once of a network whose outputs are probabilities without an activation.
inline constexpr const char* kProbabilities =
    "the outputs are probabilities (of each image, none is negative and they sum to 1)";

}  // namespace rung::cli
