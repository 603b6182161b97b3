#pragma once

#include <cstdint>
#include <vector>

#include "quant/histogram.h"
#include "rung/analysis/analysis.h"
#include "rung/core/tensor.h"

namespace rung::analysis {

/// Collects where the numbers of one tensor lie, batch by batch; stores none of them.
class StatisticsOf {
 public:
  /// Channels lie along this axis (of tensors that have it).
  explicit StatisticsOf(std::int64_t channel_axis) : channel_axis_(channel_axis) {}

  /// Throws Error counting NaN and infinite elements.
  void add(const ConstTensor& x);
  Statistics result() const;

 private:
  void add_channels(const ConstTensor& x);
  double percentile(double percent) const;

  std::int64_t channel_axis_;
  Histogram histogram_;
  std::int64_t count_ = 0;
  double sum_ = 0.0, squares_ = 0.0;
  std::vector<float> channel_min_, channel_max_;
};

}  // namespace rung::analysis
