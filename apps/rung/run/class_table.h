#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "console/report.h"
#include "rung/nn/metrics.h"

namespace rung::cli {

/// What a classifier gets right and wrong, class by class.
class ClassTable {
 public:
  /// `names` of the classes by label; empty: they are numbers.
  ClassTable(std::int64_t classes, std::vector<std::string> names);

  void update(const Tensor& scores, std::span<const std::int64_t> labels);

  /// Returns a row for each of so many classes (0: all), those with the lowest accuracy first, and
  /// of few classes the confusion matrix: lines of at most 100 columns.
  std::string text(std::int64_t rows) const;
  /// Sets "class_names", "class_images", "class_top1", "confusion_matrix" and
  /// "without_prediction".
  void add_to(Report& report) const;
  /// Returns how many images got a NaN, and so no answer.
  std::int64_t without_prediction() const { return matrix_.without_prediction(); }

 private:
  std::string rows_text(std::int64_t rows) const;
  std::string matrix_text() const;

  std::vector<std::string> names_;
  nn::MulticlassAccuracy accuracy_;
  nn::MulticlassConfusionMatrix matrix_;
};

}  // namespace rung::cli
