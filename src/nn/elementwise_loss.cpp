// Losses that are means over elements: each gives a term and its derivative, all share the loop.

#include <cmath>
#include <vector>

#include "core/check.h"
#include "rung/core/parallel.h"
#include "rung/nn/loss.h"

namespace rung::nn {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // elements per chunk: one partial sum each

/// A term of the sum and its derivative by the prediction.
struct Term {
  double value, derivative;
};

/// Returns the sum of term(prediction, target) over all elements, divided by `divisor`.
template <typename TermOf>
Loss mean(std::string_view who, const Tensor& prediction, const Tensor& target, double divisor,
          const TermOf& term_of) {
  require(prediction.shape() == target.shape() && prediction.numel() > 0,
          "{}: prediction and target must have one shape with elements, got {} and {}", who,
          prediction.shape(), target.shape());
  const std::int64_t count = prediction.numel();
  if (divisor == 0) divisor = static_cast<double>(count);
  Loss loss{0.0, Tensor(prediction.shape())};
  const float* p = prediction.data().data();
  const float* t = target.data().data();
  float* dp = loss.gradient.data().data();
  const double factor = 1.0 / divisor;
  std::vector<double> partial(static_cast<std::size_t>((count + kGrain - 1) / kGrain));
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) {
      const Term term = term_of(double{p[i]}, double{t[i]});
      dp[i] = static_cast<float>(factor * term.derivative);
      sum += term.value;
    }
    partial[static_cast<std::size_t>(begin / kGrain)] = sum;
  });
  for (const double sum : partial) loss.value += sum;
  loss.value /= divisor;
  return loss;
}

template <typename TermOf>
Loss mean(std::string_view who, const Tensor& prediction, const Tensor& target,
          const TermOf& term_of) {
  return mean(who, prediction, target, 0, term_of);
}

// -1, 0 or 1; NaN stays NaN.
double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }

}  // namespace

Loss mse_loss(const Tensor& prediction, const Tensor& target) {
  return mean("mse_loss", prediction, target, [](double p, double t) {
    const double difference = p - t;
    return Term{difference * difference, 2.0 * difference};
  });
}

Loss l1_loss(const Tensor& prediction, const Tensor& target) {
  return mean("l1_loss", prediction, target, [](double p, double t) {
    return Term{std::abs(p - t), sign(p - t)};
  });
}

Loss smooth_l1_loss(const Tensor& prediction, const Tensor& target,
                    const SmoothL1Options& options) {
  const double beta = options.beta;
  require(std::isfinite(beta) && beta >= 0,
          "smooth_l1_loss: beta must be finite and not negative, got {}", beta);
  return mean("smooth_l1_loss", prediction, target, [beta](double p, double t) {
    const double d = p - t;
    if (std::abs(d) < beta) return Term{d * d / (2 * beta), d / beta};
    return Term{std::abs(d) - beta / 2, sign(d)};
  });
}

Loss binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target) {
  return mean("binary_cross_entropy_with_logits", logits, target, [](double x, double t) {
    // log(1 + exp(-x)) + (1 - t) x, written for x of either sign so that exp never overflows.
    const double e = std::exp(-std::abs(x));
    const double sigmoid = x >= 0 ? 1 / (1 + e) : e / (1 + e);
    return Term{std::max(x, 0.0) - x * t + std::log1p(e), sigmoid - t};
  });
}

Loss kl_div(const Tensor& log_probabilities, const Tensor& target, const KlDivOptions& options) {
  const bool batch = options.reduction == KlReduction::batch_mean;
  require(!batch || log_probabilities.rank() > 0, "kl_div: batch_mean needs an axis of rows");
  const double rows = batch ? static_cast<double>(log_probabilities.size(0)) : 0;
  return mean("kl_div", log_probabilities, target, rows, [&options](double x, double t) {
    if (options.log_target) return Term{std::exp(t) * (t - x), -std::exp(t)};
    return Term{t == 0 ? 0 : t * (std::log(t) - x), -t};
  });
}

}  // namespace rung::nn
