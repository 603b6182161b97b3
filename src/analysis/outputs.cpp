#include "analysis/outputs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "core/join.h"
#include "rung/analysis/analyze.h"
#include "rung/nn/loss.h"

namespace rung::analysis {
namespace {

/// Returns log softmax(x)_c for every class, in double.
std::vector<double> log_softmax(std::span<const float> x) {
  const double largest = *std::ranges::max_element(x);
  double sum = 0.0;
  for (const float each : x) sum += std::exp(each - largest);
  std::vector<double> result;
  for (const float each : x) result.push_back(each - largest - std::log(sum));
  return result;
}

double divergence(std::span<const float> expected, std::span<const float> actual) {
  const std::vector<double> p = log_softmax(expected), q = log_softmax(actual);
  double sum = 0.0;
  for (std::size_t c = 0; c < p.size(); ++c) sum += std::exp(p[c]) * (p[c] - q[c]);
  return std::max(sum, 0.0);  // rounding may leave less than nothing
}

/// Returns the class of the largest score: of equal ones the first.
std::int64_t winner(std::span<const float> scores) {
  return std::ranges::max_element(scores) - scores.begin();
}

}  // namespace

void Outputs::add(std::span<const Tensor> expected, std::span<const Tensor> actual,
                  std::span<const std::int64_t> labels) {
  for (std::size_t i = 0; i < expected.size(); ++i) differences_ += compare(expected[i], actual[i]);
  if (!expected.empty() && expected[0].rank() == 2 && expected[0].size(1) >= 2)
    add_scores(expected[0], actual[0], labels);
}

void Outputs::add_scores(const Tensor& expected, const Tensor& actual,
                         std::span<const std::int64_t> labels) {
  const std::int64_t rows = expected.size(0);
  const auto classes = static_cast<std::size_t>(expected.size(1));
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::size_t at = static_cast<std::size_t>(row) * classes;
    const auto a = expected.data().subspan(at, classes), b = actual.data().subspan(at, classes);
    divergence_ += divergence(a, b);
    agreeing_ += winner(a) == winner(b) ? 1 : 0;
  }
  rows_ += rows;
  if (std::ssize(labels) != rows) return;
  correct_ += nn::count_correct(actual, labels);
  labelled_ += rows;
}

double Outputs::metric(std::string_view name) const {
  check_metric(name);
  if (name == "sqnr") return error().sqnr_db;
  if (name == "mse") return error().mse;
  if (name == "cosine") return error().cosine;
  require(rows_ > 0,
          "analysis: the metric {} needs scores [N, C] of two classes or more in the network's "
          "first output; sqnr, mse and cosine need none",
          name);
  const auto rows = static_cast<double>(rows_);
  if (name == "kl") return divergence_ / rows;
  if (name == "agreement") return static_cast<double>(agreeing_) / rows;
  require(labelled_ == rows_,
          "analysis: the metric top1 needs a label for every image; agreement needs none");
  return static_cast<double>(correct_) / rows;
}

std::vector<std::string> metric_names() {
  return {"sqnr", "mse", "cosine", "kl", "agreement", "top1"};
}

void check_metric(std::string_view name) {
  const std::vector<std::string> names = metric_names();
  require(std::ranges::find(names, name) != names.end(),
          "analysis: the metric must be one of {}, got {}", join(names), name);
}

}  // namespace rung::analysis
