#pragma once

#include <cstdint>
#include <span>

#include "core/check.h"
#include "rung/core/shape.h"
#include "rung/graph/kernel.h"

namespace rung {

/// How many floats a loop over elements hands to a thread at a time: 64 KiB.
inline constexpr std::int64_t kGrain = 16384;

/// Throws Error unless an op got this many inputs.
inline void require_input_count(std::span<const Shape> inputs, std::size_t count) {
  require(inputs.size() == count, "expects {} input{}, got {}", count, count == 1 ? "" : "s",
          inputs.size());
}

/// Throws Error unless `shape` is [N, C, H, W].
inline void require_images(const Shape& shape) {
  require(shape.rank() == 4, "input must be [N, C, H, W], got {}", shape);
}

/// Returns the non-negative form of an axis that may count from the end.
inline std::int64_t require_axis(std::int64_t axis, const Shape& shape) {
  const std::int64_t rank = shape.rank();
  require(axis >= -rank && axis < rank, "axis {} is outside of {}", axis, shape);
  return axis < 0 ? axis + rank : axis;
}

/// Returns the product of the extents of axes [begin, end).
inline std::int64_t product(const Shape& shape, std::int64_t begin, std::int64_t end) {
  std::int64_t result = 1;
  for (std::int64_t axis = begin; axis < end; ++axis) result *= shape[axis];
  return result;
}

}  // namespace rung
