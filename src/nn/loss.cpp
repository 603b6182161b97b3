#include "rung/nn/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "rung/core/parallel.h"
#include "rung/nn/data.h"

namespace rung::nn {
namespace {

constexpr std::int64_t kRowsGrain = 1 << 15;  // elements per chunk: one partial sum each

void check(std::string_view who, const Tensor& logits, std::span<const std::int64_t> labels) {
  require(logits.rank() == 2 && logits.numel() > 0, "{}: logits must be [N, C], got {}", who,
          logits.shape());
  const std::int64_t classes = logits.size(1);
  require(static_cast<std::int64_t>(labels.size()) == logits.size(0),
          "{}: logits {} need {} labels, got {}", who, logits.shape(), logits.size(0),
          labels.size());
  for (std::size_t row = 0; row < labels.size(); ++row)
    require(labels[row] >= 0 && labels[row] < classes,
            "{}: label {} of row {} is outside of [0, {}), the classes of the logits", who,
            labels[row], row, classes);
}

// Writes the gradient of one row and returns its loss. Everything in double: a row is short, and
// the sum of exponentials then needs no care beyond subtracting the maximum.
double row_cross_entropy(std::span<const float> logits, std::size_t label, double smoothing,
                         double rows, std::span<float> gradient) {
  const double classes = static_cast<double>(logits.size());
  const double maximum = *std::ranges::max_element(logits);
  double exponentials = 0.0, sum = 0.0;
  for (const float x : logits) {
    exponentials += std::exp(x - maximum);
    sum += x - maximum;
  }
  const double log_sum = std::log(exponentials);
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const double softmax = std::exp(logits[c] - maximum - log_sum);
    const double target = smoothing / classes + (c == label ? 1.0 - smoothing : 0.0);
    gradient[c] = static_cast<float>((softmax - target) / rows);
  }
  const double label_loss = log_sum - (logits[label] - maximum);
  // Without smoothing the second term must not exist: 0 times an infinite logit is NaN.
  if (smoothing == 0.0) return label_loss;
  return (1.0 - smoothing) * label_loss + smoothing * (log_sum - sum / classes);
}

}  // namespace

Loss CrossEntropy::operator()(const Tensor& logits, std::span<const std::int64_t> labels,
                              const CrossEntropyOptions& options) const {
  check("cross_entropy", logits, labels);
  require(options.label_smoothing >= 0.0 && options.label_smoothing <= 1.0,
          "cross_entropy: label_smoothing must be in [0, 1], got {}", options.label_smoothing);
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  Loss loss{0.0, Tensor(logits.shape())};
  const std::span<const float> x = logits.data();
  const std::span<float> dx = loss.gradient.data();
  std::vector<double> row_losses(labels.size());
  parallel_for(rows, kRowsGrain / classes + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto offset = static_cast<std::size_t>(row * classes);
      const auto count = static_cast<std::size_t>(classes);
      const auto index = static_cast<std::size_t>(row);
      row_losses[index] = row_cross_entropy(
          x.subspan(offset, count), static_cast<std::size_t>(labels[index]),
          options.label_smoothing, static_cast<double>(rows), dx.subspan(offset, count));
    }
  });
  for (const double value : row_losses) loss.value += value;
  loss.value /= static_cast<double>(rows);
  return loss;
}

LossOfOutputs LossFunction::operator()(std::span<const Tensor> outputs, const Batch& batch) const {
  require(function_ != nullptr, "LossFunction: there is no function in it");
  LossOfOutputs loss = function_(outputs, batch);
  require(loss.gradients.size() == outputs.size(),
          "LossFunction: {} outputs need as many gradients, got {}", outputs.size(),
          loss.gradients.size());
  return loss;
}

Loss LossFunction::operator()(const Tensor& output, std::span<const std::int64_t> labels) const {
  Batch batch;
  batch.labels.assign(labels.begin(), labels.end());
  LossOfOutputs loss = (*this)(std::span(&output, 1), batch);
  return {loss.value, std::move(loss.gradients[0])};
}

const Tensor& LossFunction::only(std::span<const Tensor> outputs) {
  require(outputs.size() == 1,
          "LossFunction: the network has {} outputs, the function takes one; give one that takes "
          "std::span<const Tensor>",
          outputs.size());
  return outputs[0];
}

std::span<const std::int64_t> LossFunction::labels_of(const Batch& batch) { return batch.labels; }

LossOfOutputs LossFunction::of_one(Loss loss) { return {loss.value, {std::move(loss.gradient)}}; }

std::int64_t count_correct(const Tensor& logits, std::span<const std::int64_t> labels,
                           std::int64_t top_k) {
  check("count_correct", logits, labels);
  require(top_k > 0, "count_correct: top_k must be positive, got {}", top_k);
  const auto classes = static_cast<std::size_t>(logits.size(1));
  std::int64_t correct = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::span<const float> x = logits.data().subspan(row * classes, classes);
    const auto label = static_cast<std::size_t>(labels[row]);
    bool has_nan = false;
    std::int64_t not_less = 0;  // of all classes, the label's among them
    for (std::size_t c = 0; c < classes; ++c) {
      has_nan = has_nan || std::isnan(x[c]);
      not_less += x[c] >= x[label] ? 1 : 0;
    }
    correct += !has_nan && not_less <= top_k ? 1 : 0;
  }
  return correct;
}

double top1_accuracy(const Tensor& logits, std::span<const std::int64_t> labels) {
  return static_cast<double>(count_correct(logits, labels)) / static_cast<double>(labels.size());
}

}  // namespace rung::nn
