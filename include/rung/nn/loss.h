#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"

namespace rung::nn {

struct Batch;

/// What the loss of one output is: the number, and what Executor::backward() starts from.
struct Loss {
  double value = 0.0;
  Tensor gradient;  ///< d value / d logits, of the shape of the logits
};

/// The same for all outputs of a network.
struct LossOfOutputs {
  double value = 0.0;
  std::vector<Tensor> gradients;  ///< d value / d output, one for each
};

/// What training makes small. Made of any callable, a lambda too, of one of these forms:
///
///   Loss(const Tensor& logits, std::span<const std::int64_t> labels)         // cross_entropy
///   Loss(const Tensor& output, const Batch& batch)                           // for batch.targets,
///                                           // or what a teacher makes of batch.images
///   LossOfOutputs(std::span<const Tensor> outputs, const Batch& batch)       // several outputs
class RUNG_API LossFunction {
 public:
  LossFunction() = default;
  LossFunction(std::nullptr_t) {}  // NOLINT: none, as of std::function
  template <typename F>
  requires(!std::same_as<std::remove_cvref_t<F>, LossFunction> &&
           (std::is_invocable_r_v<Loss, F&, const Tensor&, std::span<const std::int64_t>> ||
            std::is_invocable_r_v<Loss, F&, const Tensor&, const Batch&> ||
            std::is_invocable_r_v<LossOfOutputs, F&, std::span<const Tensor>, const Batch&>))
      LossFunction(F function) {  // NOLINT: a function is a loss function
    if constexpr (std::is_invocable_r_v<Loss, F&, const Tensor&, std::span<const std::int64_t>>)
      function_ = [f = std::move(function)](std::span<const Tensor> outputs,
                                            const Batch& batch) mutable {
        return of_one(f(only(outputs), labels_of(batch)));
      };
    else if constexpr (std::is_invocable_r_v<Loss, F&, const Tensor&, const Batch&>)
      function_ = [f = std::move(function)](std::span<const Tensor> outputs,
                                            const Batch& batch) mutable {
        return of_one(f(only(outputs), batch));
      };
    else
      function_ = std::move(function);
  }

  explicit operator bool() const { return function_ != nullptr; }
  /// Throws Error if the function is for one output and there are several.
  LossOfOutputs operator()(std::span<const Tensor> outputs, const Batch& batch) const;
  /// The same for one output, where labels are all that the function looks at.
  Loss operator()(const Tensor& output, std::span<const std::int64_t> labels) const;

 private:
  static const Tensor& only(std::span<const Tensor> outputs);
  static std::span<const std::int64_t> labels_of(const Batch& batch);
  static LossOfOutputs of_one(Loss loss);

  std::function<LossOfOutputs(std::span<const Tensor>, const Batch&)> function_;
};

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

// The losses that follow compare two tensors of one shape, element by element, and take the mean.
// They throw Error if the shapes differ or are empty.

/// Returns the mean over all elements of (prediction - target)^2,. torch.nn.functional.mse_loss.
RUNG_API Loss mse_loss(const Tensor& prediction, const Tensor& target);
/// Returns the mean of |prediction - target|; where they are equal the gradient is 0.
/// torch.nn.functional.l1_loss.
RUNG_API Loss l1_loss(const Tensor& prediction, const Tensor& target);

struct SmoothL1Options {
  double beta = 1.0;  ///< where the square becomes a line; 0: l1_loss
};
/// Returns the mean of d^2 / (2 beta) where |d| < beta and |d| - beta / 2 elsewhere, with d =
/// prediction - target. Throws Error if beta is negative. torch.nn.functional.smooth_l1_loss.
RUNG_API Loss smooth_l1_loss(const Tensor& prediction, const Tensor& target,
                             const SmoothL1Options& options = {});

/// Returns the mean of -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), which stays finite for any
/// logit x. Targets t may be anything between 0 and 1.
/// torch.nn.functional.binary_cross_entropy_with_logits.
RUNG_API Loss binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target);

/// What the sum of kl_div is divided by.
enum class KlReduction {
  mean,       ///< the number of elements: torch's default
  batch_mean  ///< the rows of axis 0: the Kullback-Leibler divergence itself
};
struct KlDivOptions {
  KlReduction reduction = KlReduction::mean;
  bool log_target = false;  ///< the target holds logarithms, too
};
/// Returns the mean of t (log t - x), where x are logarithms of probabilities (log_softmax) and t
/// are probabilities; an element with t = 0 counts 0. torch.nn.functional.kl_div.
RUNG_API Loss kl_div(const Tensor& log_probabilities, const Tensor& target,
                     const KlDivOptions& options = {});

/// Counts the rows of logits [N, C] in which the label's element is one of the top_k largest: fewer
/// than top_k others are as large or larger. So a tie is wrong where it decides: few bits give many
/// equal logits, and guessing among them is no merit (torch.argmax takes the first, torch.topk
/// any). A row with a NaN is wrong. Throws Error as cross_entropy does, and unless top_k is
/// positive.
RUNG_API std::int64_t count_correct(const Tensor& logits, std::span<const std::int64_t> labels,
                                    std::int64_t top_k = 1);
/// Returns the share of such rows, in [0, 1].
RUNG_API double top1_accuracy(const Tensor& logits, std::span<const std::int64_t> labels);

}  // namespace rung::nn
