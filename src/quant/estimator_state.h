#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/check.h"
#include "rung/quant/encoding.h"

namespace rung {

// The numbers of RangeEstimator::state() come back from files: nothing about them is certain.

/// Returns the range that an estimator has seen. Throws Error if no float32 data can have it.
inline Range seen_range(double min, double max) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  require(min >= -kLargest && min <= max && max <= kLargest,
          "the state of a range estimator must have a finite range, got {} .. {}", min, max);
  return {static_cast<float>(min), static_cast<float>(max)};
}

/// Returns how many numbers an estimator has seen. Throws Error if it is no count.
inline std::int64_t seen_count(double count) {
  require(count >= 0.0 && count <= 0x1p53 && count == std::floor(count),
          "the state of a range estimator must have a count, got {}", count);
  return static_cast<std::int64_t>(count);
}

}  // namespace rung
