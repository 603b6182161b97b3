#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/common.h"
#include "rung/core/parallel.h"

namespace rung {

/// Calls body(index of the first element, extent, stride) for every line of elements along an axis,
/// from several threads.
template <typename Body>
void each_line(const Shape& shape, std::int64_t axis, const Body& body) {
  const std::int64_t along = require_axis(axis, shape);
  const std::int64_t extent = shape[along];
  const std::int64_t inner = product(shape, along + 1, shape.rank());
  if (extent == 0) return;
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / extent);
  parallel_for(shape.numel() / extent, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line)
      body(line / inner * extent * inner + line % inner, extent, inner);
  });
}

/// Returns the largest element of a line: subtracted, exp never overflows.
inline float largest_of(const float* first, std::int64_t extent, std::int64_t stride) {
  float largest = *first;
  for (std::int64_t i = 1; i < extent; ++i) largest = std::max(largest, first[i * stride]);
  return largest;
}

/// Begins an op that makes each line of x along an axis a line of y, from which its gradient comes.
template <typename Derived>
struct LineOp : SimpleOp<Derived> {
  std::int64_t axis = -1;

  void visit(AttributeVisitor& visitor) override { visitor("axis", axis); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    require_axis(axis, inputs[0]);
    return {inputs[0]};
  }
  Needs backward_needs() const override { return Needs::outputs(); }
};

}  // namespace rung
