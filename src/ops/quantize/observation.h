#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "rung/graph/op.h"
#include "rung/quant/range_estimator.h"

namespace rung {

/// A tensor's numbers as stretches of memory, one list per channel, without padding.
struct Stretches {
  std::vector<std::vector<std::span<const float>>> channels;
  std::vector<float> gathered;  ///< holds what does not lie together in a blocked format
};

/// Cuts row-major data into what shares a scale.
Stretches stretches(std::span<const float> x, const Shape& shape, const Granularity& granularity);
/// Finds the numbers of a tensor as a plan stores it, per tensor.
Stretches stretches(const View& x);

/// Shows one batch to the estimators, one per channel: minima and maxima first, then the data.
/// Throws Error counting NaN and infinite elements; nothing is seen then.
void observe(std::span<const std::unique_ptr<RangeEstimator>> estimators, const Stretches& batch);

}  // namespace rung
