#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "rung/ops/resize.h"

namespace rung {

/// From which two pixels of a row or column one of the result is made: low * (1 - weight) + high *
/// weight. With mode nearest the weight is 0.
struct ResizeTap {
  std::int64_t low = 0, high = 0;
  float weight = 0.0f;
};

/// Returns how many pixels a row or column of `extent` gets: floor(extent * scale), or `size` if
/// the scale is 0.
std::int64_t resized_extent(std::int64_t extent, float scale, std::int64_t size);

/// Returns the tap of each of the `resized` pixels. Throws Error if the op names an unknown mode.
std::vector<ResizeTap> resize_taps(const Resize& op, std::int64_t extent, std::int64_t resized,
                                   float scale);

/// From which four pixels of a row or column one of the result is made in mode cubic.
struct CubicTap {
  std::array<std::int64_t, 4> at{};
  std::array<float, 4> weight{};
};
std::vector<CubicTap> cubic_taps(const Resize& op, std::int64_t extent, std::int64_t resized,
                                 float scale);

}  // namespace rung
