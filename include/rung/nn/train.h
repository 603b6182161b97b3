#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "rung/core/export.h"
#include "rung/exec/executor.h"
#include "rung/nn/data.h"
#include "rung/nn/loss.h"
#include "rung/nn/numerics.h"
#include "rung/nn/optim.h"

namespace rung::nn {

/// Figures of a pass over the data, or of the part of it so far. Every image counts the same, also
/// those of a smaller last batch. Right answers are counted in scores [N, C] of two classes or
/// more, which are the network's first output unless options say otherwise; see count_correct().
/// Of five classes or fewer nothing is counted among the top five: all of them are.
struct RUNG_API Metrics {
  double loss = 0.0;                ///< mean over the images
  double top1 = 0.0;                ///< share of right answers, in [0, 1]
  std::optional<double> top5 = {};  ///< share of labels among the five largest scores
  std::int64_t images = 0;
  double seconds = 0.0;      ///< wall time
  double loss_sum = 0.0;     ///< over the images: from here an interrupted pass goes on exactly
  std::int64_t correct = 0;  ///< right answers; 0 where there are no scores
  std::optional<std::int64_t> correct_top5 = {};

  /// Returns the figures of so many images.
  static Metrics of(double loss_sum, std::int64_t correct, std::int64_t images,
                    std::optional<std::int64_t> correct_top5 = {});
  /// Returns the figures of what came behind `earlier`, a part of the same pass.
  Metrics since(const Metrics& earlier) const;
};

/// What a progress callback is told after every batch.
struct Progress {
  std::int64_t batch = 0;  ///< done in this pass
  std::int64_t batches = 0;
  Metrics metrics;
};

/// Makes of the first output what right answers are counted in; an undefined tensor: nothing is.
using ScoresOf = std::function<Tensor(const Tensor& output)>;

struct TrainOptions {
  /// Figures of the part of the epoch that was trained before an interruption; the result and
  /// on_progress include them.
  Metrics before = {};
  CheckNumerics check_numerics = CheckNumerics::loss;
  double clip_grad_norm = 0.0;  ///< nn::clip_grad_norm before every step; 0 is off
  /// Runs before each batch, with its number in the epoch: the place for a per-step schedule.
  std::function<void(std::int64_t batch)> before_step = {};
  /// Runs when all gradients are there, before they are checked, clipped and used: the place to
  /// change or exchange them. See also Executor::on_gradient().
  std::function<void(std::int64_t batch)> after_backward = {};
  ScoresOf scores = {};  ///< default: the output itself
  std::function<void(const Progress&)> on_progress = {};
};

/// Trains on one epoch of the loader. In training the metrics are those of the changing network on
/// augmented images. The loss must be a mean over the batch. Throws Error if the loader has no
/// batches, and if the loss, or what else check_numerics says, is not finite: the message names the
/// node where it began. Parameters are as before the step then, unless one of them is what is not
/// finite.
RUNG_API Metrics train_one_epoch(Executor& executor, DataLoader& loader, const LossFunction& loss,
                                 Optimizer& optimizer, const TrainOptions& options = {});

struct EvaluateOptions {
  LossFunction loss = cross_entropy;
  ScoresOf scores = {};  ///< default: the output itself
  CheckNumerics check_numerics = CheckNumerics::off;
  std::function<void(const Progress&)> on_progress = {};
};

/// Runs one epoch of the loader in Mode::eval. Throws Error if the loader has no batches, and,
/// unless check_numerics is off, if a loss is not finite: the message names the node where that
/// began.
RUNG_API Metrics evaluate(Executor& executor, DataLoader& loader,
                          const EvaluateOptions& options = {});

}  // namespace rung::nn
