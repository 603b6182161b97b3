#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "rung/core/export.h"
#include "rung/core/tensor.h"

namespace rung::nn {

/// What a loss function returns: the number, and what Executor::backward() starts from.
struct Loss {
  double value = 0.0;
  Tensor gradient;  ///< d value / d logits, of the shape of the logits
};

/// Any callable that takes logits [N, C] and N labels: cross_entropy, or one of your own.
using LossFunction =
    std::function<Loss(const Tensor& logits, std::span<const std::int64_t> labels)>;

struct CrossEntropyOptions {
  double label_smoothing = 0.0;  ///< share of the target that is spread evenly over all classes
};

/// Computes softmax cross entropy; cross_entropy is its only instance, an object so that it can be
/// passed on as a LossFunction although it has options.
struct RUNG_API CrossEntropy {
  /// Returns the mean over N of -sum_c q_c log softmax(logits)_c, where q is 1 - label_smoothing
  /// at the label plus label_smoothing / C everywhere. Throws Error if logits are not [N, C] with
  /// N > 0, or a label is not in [0, C). torch.nn.functional.cross_entropy.
  Loss operator()(const Tensor& logits, std::span<const std::int64_t> labels,
                  const CrossEntropyOptions& options = {}) const;
};
inline constexpr CrossEntropy cross_entropy{};

/// Returns the mean over all elements of (prediction - target)^2, of any equal shapes. Throws Error
/// if they differ or are empty. torch.nn.functional.mse_loss.
RUNG_API Loss mse_loss(const Tensor& prediction, const Tensor& target);

/// Counts the rows of logits [N, C] in which the label's element is larger than every other. A tie
/// is wrong: few bits give many equal logits, and guessing among them is no merit (torch.argmax
/// takes the first). A row with a NaN is wrong. Throws Error as cross_entropy does.
RUNG_API std::int64_t count_correct(const Tensor& logits, std::span<const std::int64_t> labels);
/// Returns the share of such rows, in [0, 1].
RUNG_API double top1_accuracy(const Tensor& logits, std::span<const std::int64_t> labels);

}  // namespace rung::nn
