#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/format.h"
#include "rung/core/shape.h"
#include "rung/graph/op.h"

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

/// Shows a pair as the list of integers that ONNX has, repeated for the end side of pads.
inline void visit_pair(AttributeVisitor& visitor, std::string_view name, std::int64_t& h,
                       std::int64_t& w, std::size_t repeat = 1) {
  std::vector<std::int64_t> list;
  for (std::size_t i = 0; i < repeat; ++i) list.insert(list.end(), {h, w});
  const std::size_t size = list.size();
  visitor(name, list);
  require(list.size() == size, "{} must have {} entries, got {}", name, size, list.size());
  require(list[0] == list[size - 2] && list[1] == list[size - 1],
          "{} must be the same on both sides", name);
  h = list[0];
  w = list[1];
}

}  // namespace rung
