#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"

// What a classifier gets right and wrong, counted batch by batch, under torchmetrics' names. Scores
// are [N, C], of any scale: only their order counts. Ties and NaN are wrong as count_correct()
// (rung/nn/loss.h) says.

namespace rung::nn {

/// How often labels are among the top_k largest scores, class by class. torchmetrics:
/// MulticlassAccuracy.
class RUNG_API MulticlassAccuracy {
 public:
  /// Throws Error unless both are positive.
  explicit MulticlassAccuracy(std::int64_t num_classes, std::int64_t top_k = 1);

  /// Throws Error unless scores are [N, num_classes] and labels N of these classes.
  void update(const Tensor& scores, std::span<const std::int64_t> labels);

  /// Returns the share of right answers of all images, in [0, 1]; 0 before the first. average =
  /// "micro".
  double micro() const;
  /// Returns the same for each class; NaN of those without images. average = "none".
  std::vector<double> per_class() const;
  /// Returns how many images each class had.
  const std::vector<std::int64_t>& images() const { return images_; }

 private:
  std::int64_t top_k_;
  std::vector<std::int64_t> correct_, images_;
};

/// How often images of one class are taken for another. An image is taken for the class of the
/// largest score; where others tie with the label's, for the first of those others, so that what is
/// on the diagonal is what count_correct() counts. torchmetrics: MulticlassConfusionMatrix.
class RUNG_API MulticlassConfusionMatrix {
 public:
  /// Throws Error unless it is positive.
  explicit MulticlassConfusionMatrix(std::int64_t num_classes);

  /// Throws Error as MulticlassAccuracy::update() does.
  void update(const Tensor& scores, std::span<const std::int64_t> labels);

  std::int64_t num_classes() const { return num_classes_; }
  /// Returns how many images of `label` were taken for `predicted`.
  std::int64_t at(std::int64_t label, std::int64_t predicted) const;
  /// Returns at(label, predicted) in row `label`, column `predicted`.
  std::vector<std::vector<std::int64_t>> compute() const;
  /// Returns how many images have a NaN among their scores: they are taken for nothing.
  std::int64_t without_prediction() const { return without_prediction_; }

 private:
  std::int64_t num_classes_;
  // Memory grows with the images, not with the square of the classes.
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> counts_;
  std::int64_t without_prediction_ = 0;
};

}  // namespace rung::nn
