#pragma once

#include "rung/nn/transforms.h"

namespace rung::nn {

/// Resizes all channels with a triangle filter that widens when shrinking (antialiased bilinear),
/// normalized at the edges, as Pillow and torch compute it. All extents must be positive and at
/// most kMaxExtent.
void resample(Image& image, const ImageSize& size);

inline constexpr std::int64_t kMaxExtent = std::int64_t{1} << 20;

}  // namespace rung::nn
