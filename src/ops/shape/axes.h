#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/join.h"
#include "ops/common.h"

namespace rung {

/// Returns which of `rank` axes a list names, some counting from the end; throws Error if one is
/// outside or named twice.
inline std::vector<bool> require_axes(std::span<const std::int64_t> axes, std::int64_t rank) {
  std::vector<bool> named(static_cast<std::size_t>(rank), false);
  for (const std::int64_t axis : axes) {
    require(axis >= -rank && axis < rank, "axis {} is outside of {} axes", axis, rank);
    const auto at = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
    require(!named[at], "axes [{}] name axis {} twice", join(axes), at);
    named[at] = true;
  }
  return named;
}

}  // namespace rung
