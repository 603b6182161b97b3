#include "rung/nn/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "core/check.h"
#include "rung/nn/loss.h"

namespace rung::nn {
namespace {

void check_classes(std::string_view who, std::int64_t num_classes) {
  require(num_classes > 0, "{}: num_classes must be positive, got {}", who, num_classes);
}

void check_scores(std::string_view who, const Tensor& scores, std::int64_t num_classes,
                  std::span<const std::int64_t> labels) {
  require(scores.rank() == 2 && scores.size(1) == num_classes &&
              scores.size(0) == static_cast<std::int64_t>(labels.size()),
          "{}: scores must be [N, {}] with N labels, got {} and {} labels", who, num_classes,
          scores.shape(), labels.size());
  for (const std::int64_t label : labels)
    require(label >= 0 && label < num_classes, "{}: label {} is outside of [0, {})", who, label,
            num_classes);
}

/// Returns the class that a row is taken for; -1 if there is a NaN.
std::int64_t prediction(std::span<const float> row, std::size_t label) {
  if (std::ranges::any_of(row, [](float x) { return std::isnan(x); })) return -1;
  const float largest = *std::ranges::max_element(row);
  for (std::size_t c = 0; c < row.size(); ++c)
    if (c != label && row[c] == largest) return static_cast<std::int64_t>(c);
  return static_cast<std::int64_t>(label);
}

}  // namespace

MulticlassAccuracy::MulticlassAccuracy(std::int64_t num_classes, std::int64_t top_k)
    : top_k_(top_k) {
  check_classes("MulticlassAccuracy", num_classes);
  require(top_k > 0, "MulticlassAccuracy: top_k must be positive, got {}", top_k);
  correct_.resize(static_cast<std::size_t>(num_classes));
  images_.resize(correct_.size());
}

void MulticlassAccuracy::update(const Tensor& scores, std::span<const std::int64_t> labels) {
  check_scores("MulticlassAccuracy", scores, static_cast<std::int64_t>(images_.size()), labels);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto begin = static_cast<std::int64_t>(row), label = labels[row];
    ++images_[static_cast<std::size_t>(label)];
    correct_[static_cast<std::size_t>(label)] +=
        count_correct(scores.slice(begin, begin + 1), labels.subspan(row, 1), top_k_);
  }
}

double MulticlassAccuracy::micro() const {
  std::int64_t correct = 0, images = 0;
  for (std::size_t c = 0; c < images_.size(); ++c) correct += correct_[c], images += images_[c];
  return images == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(images);
}

std::vector<double> MulticlassAccuracy::per_class() const {
  std::vector<double> shares;
  for (std::size_t c = 0; c < images_.size(); ++c)
    shares.push_back(images_[c] == 0
                         ? std::numeric_limits<double>::quiet_NaN()
                         : static_cast<double>(correct_[c]) / static_cast<double>(images_[c]));
  return shares;
}

MulticlassConfusionMatrix::MulticlassConfusionMatrix(std::int64_t num_classes)
    : num_classes_(num_classes) {
  check_classes("MulticlassConfusionMatrix", num_classes);
}

void MulticlassConfusionMatrix::update(const Tensor& scores, std::span<const std::int64_t> labels) {
  check_scores("MulticlassConfusionMatrix", scores, num_classes_, labels);
  const auto classes = static_cast<std::size_t>(num_classes_);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::span<const float> x =
        std::span<const float>(scores.data()).subspan(row * classes, classes);
    const std::int64_t predicted = prediction(x, static_cast<std::size_t>(labels[row]));
    if (predicted < 0)
      ++without_prediction_;
    else
      ++counts_[{labels[row], predicted}];
  }
}

std::int64_t MulticlassConfusionMatrix::at(std::int64_t label, std::int64_t predicted) const {
  const auto found = counts_.find({label, predicted});
  return found == counts_.end() ? 0 : found->second;
}

std::vector<std::vector<std::int64_t>> MulticlassConfusionMatrix::compute() const {
  const auto classes = static_cast<std::size_t>(num_classes_);
  std::vector<std::vector<std::int64_t>> matrix(classes, std::vector<std::int64_t>(classes));
  for (const auto& [where, count] : counts_)
    matrix[static_cast<std::size_t>(where.first)][static_cast<std::size_t>(where.second)] = count;
  return matrix;
}

}  // namespace rung::nn
