#include "rung/nn/train.h"

#include <chrono>
#include <cmath>
#include <span>
#include <vector>

#include "core/check.h"

namespace rung::nn {
namespace {

// Sums over batches; metrics() makes means of them.
class Meter {
 public:
  explicit Meter(const Metrics& before = {})
      : seconds_(before.seconds),
        loss_(before.loss_sum),
        correct_(before.correct),
        correct_top5_(before.correct_top5),
        images_(before.images) {}
  void add(const Batch& batch, const Tensor& scores, double loss) {
    loss_ += loss * static_cast<double>(batch.size());
    if (scores.defined() && scores.rank() == 2 && scores.size(1) > 1) {
      correct_ += count_correct(scores, batch.labels);
      if (scores.size(1) > 5)
        correct_top5_ = correct_top5_.value_or(0) + count_correct(scores, batch.labels, 5);
    }
    images_ += batch.size();
  }
  Metrics metrics() const {
    require(images_ > 0, "none of the images could be read");
    const std::chrono::duration<double> elapsed = Clock::now() - start_;
    Metrics metrics = Metrics::of(loss_, correct_, images_, correct_top5_);
    metrics.seconds = seconds_ + elapsed.count();
    return metrics;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  double seconds_, loss_;
  std::int64_t correct_;
  std::optional<std::int64_t> correct_top5_;
  std::int64_t images_;
};

/// Says that the loss of a batch is not finite, and which node made it so.
[[noreturn]] void fail_loss(std::string_view who, double loss, std::int64_t batch,
                            std::int64_t batches, const std::string& where) {
  fail(
      "{}: the loss is {} at batch {} of {}: {}; try a lower learning rate, a warm-up or clipped "
      "gradients",
      who, std::isnan(loss) ? "NaN" : fmt::format("{}", loss), batch, batches,
      where.empty() ? "every node's output is finite, the loss function's is not" : where);
}

Tensor scores_of(const std::vector<Tensor>& outputs, const ScoresOf& scores) {
  return scores ? scores(outputs[0]) : outputs[0];
}

}  // namespace

Metrics Metrics::of(double loss_sum, std::int64_t correct, std::int64_t images,
                    std::optional<std::int64_t> correct_top5) {
  const auto count = static_cast<double>(images);
  Metrics metrics{
      .images = images, .loss_sum = loss_sum, .correct = correct, .correct_top5 = correct_top5};
  if (images == 0) return metrics;
  metrics.loss = loss_sum / count;
  metrics.top1 = static_cast<double>(correct) / count;
  if (correct_top5) metrics.top5 = static_cast<double>(*correct_top5) / count;
  return metrics;
}

Metrics Metrics::since(const Metrics& earlier) const {
  std::optional<std::int64_t> top5_since = correct_top5;
  if (top5_since) *top5_since -= earlier.correct_top5.value_or(0);
  Metrics later = of(loss_sum - earlier.loss_sum, correct - earlier.correct,
                     images - earlier.images, top5_since);
  later.seconds = seconds - earlier.seconds;
  return later;
}

Metrics train_one_epoch(Executor& executor, DataLoader& loader, const LossFunction& loss,
                        Optimizer& optimizer, const TrainOptions& options) {
  require(loader.size() > 0, "train_one_epoch: the loader has no batches");
  require(static_cast<bool>(loss), "train_one_epoch: there is no loss function");
  Meter meter(options.before);
  std::int64_t done = loader.state().batch;  // not 0 when an interrupted epoch is continued
  const CheckNumerics check = options.check_numerics;
  const auto give_up = [&](std::string_view what, std::string_view where) {
    fail(
        "train_one_epoch: {} at batch {} of {}: {}; try a lower learning rate, a warm-up or "
        "clipped gradients",
        what, done + 1, loader.size(), where);
  };
  for (const Batch& batch : loader) {
    if (options.before_step) options.before_step(done);
    const std::vector<Tensor> outputs = executor.forward(std::span(&batch.images, 1), Mode::train);
    const LossOfOutputs result = loss(outputs, batch);
    if (check != CheckNumerics::off && !std::isfinite(result.value)) {
      fail_loss("train_one_epoch", result.value, done + 1, loader.size(),
                find_not_finite(executor.graph(), batch.images, Mode::train));
    }
    optimizer.zero_grad();
    executor.backward(result.gradients);
    if (options.after_backward) options.after_backward(done);
    if (check == CheckNumerics::all)
      if (const std::string where = find_not_finite_gradient(executor.graph()); !where.empty())
        give_up("a gradient is not finite", where);
    if (options.clip_grad_norm > 0)
      clip_grad_norm(executor.graph().parameters(), options.clip_grad_norm);
    optimizer.step();
    if (check == CheckNumerics::all)
      if (const std::string where = find_not_finite_parameter(executor.graph()); !where.empty())
        give_up("a parameter is not finite after the step", where);
    meter.add(batch, scores_of(outputs, options.scores), result.value);
    ++done;
    if (options.on_progress) options.on_progress({done, loader.size(), meter.metrics()});
  }
  return meter.metrics();
}

Metrics evaluate(Executor& executor, DataLoader& loader, const EvaluateOptions& options) {
  require(loader.size() > 0, "evaluate: the loader has no batches");
  require(static_cast<bool>(options.loss), "evaluate: there is no loss function");
  Meter meter;
  std::int64_t done = loader.state().batch;
  for (const Batch& batch : loader) {
    const std::vector<Tensor> outputs = executor.forward(std::span(&batch.images, 1), Mode::eval);
    const double loss = options.loss(outputs, batch).value;
    if (options.check_numerics != CheckNumerics::off && !std::isfinite(loss))
      fail_loss("evaluate", loss, done + 1, loader.size(),
                find_not_finite(executor.graph(), batch.images, Mode::eval));
    meter.add(batch, scores_of(outputs, options.scores), loss);
    ++done;
    if (options.on_progress) options.on_progress({done, loader.size(), meter.metrics()});
  }
  return meter.metrics();
}

}  // namespace rung::nn
