#pragma once

#include <algorithm>
#include <cstdint>

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

}  // namespace rung
