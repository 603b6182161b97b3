#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "analysis/difference.h"
#include "rung/core/tensor.h"

namespace rung::analysis {

/// Compares the outputs of the quantized network with those of the float one, batch by batch, by
/// every metric at once.
class Outputs {
 public:
  /// `labels` may be empty. Scores are the first output if it is [N, C] with two classes or more.
  void add(std::span<const Tensor> expected, std::span<const Tensor> actual,
           std::span<const std::int64_t> labels);

  /// Throws Error if the metric is unknown, or needs scores or labels that are not there.
  double metric(std::string_view name) const;
  const Differences& differences() const { return differences_; }
  Error error() const { return differences_.error(); }

 private:
  void add_scores(const Tensor& expected, const Tensor& actual,
                  std::span<const std::int64_t> labels);

  Differences differences_;
  std::int64_t rows_ = 0, labelled_ = 0;  // of scores
  std::int64_t agreeing_ = 0, correct_ = 0;
  double divergence_ = 0.0;
};

/// Throws Error, listing the metrics, if there is none of this name.
void check_metric(std::string_view name);

}  // namespace rung::analysis
