#include "quant/stored_range.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace rung {

namespace {

/// Moves by so many float32 numbers.
float nudged(float x, int steps) {
  const float end =
      std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(steps));
  for (int i = 0; i < std::abs(steps); ++i) x = std::nextafter(x, end);
  return x;
}

}  // namespace

Range stored_range(float scale, std::int64_t offset, int bitwidth, Symmetry symmetry) {
  const Grid grid = make_grid(bitwidth, symmetry);
  const Range range{static_cast<float>(offset + grid.qmin) * scale,
                    static_cast<float>(offset + grid.qmax) * scale};
  const auto means_it = [&](Range stored) {
    const Encoding encoding = encoding_from_range(stored, bitwidth, symmetry);
    return encoding.scale[0] == scale && encoding.offset[0] == offset;
  };
  // (max - min) / steps rounds twice, so that the ends of the grid often miss by one bit.
  constexpr int kReach = 4;
  for (int distance = 0; distance <= 2 * kReach; ++distance)
    for (int low = -std::min(distance, kReach); low <= std::min(distance, kReach); ++low)
      for (const int sign : {1, -1}) {
        const int high = sign * (distance - std::abs(low));
        const bool moves_zero = (range.min == 0.0f && low != 0) || (range.max == 0.0f && high != 0);
        if (std::abs(high) > kReach || moves_zero) continue;
        const Range stored{nudged(range.min, low), nudged(range.max, high)};
        if (stored.min <= 0.0f && stored.max >= 0.0f && means_it(stored)) return stored;
      }
  return range;
}

}  // namespace rung
