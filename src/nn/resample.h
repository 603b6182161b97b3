#pragma once

#include "nn/crop.h"
#include "rung/nn/transforms.h"

namespace rung::nn {

/// Resizes all channels to `size` with a triangle filter that widens when shrinking (antialiased
/// bilinear), normalized at the edges, as Pillow and torch compute it, and keeps the `window` of
/// the result, which must lie inside of it: the rest is never computed. Bytes come out as Pillow's,
/// to the bit. All extents must be positive.
void resample(Image& image, const ImageSize& size, const Window& window, PixelValues values);

inline constexpr std::int64_t kMaxExtent = std::int64_t{1} << 20;

}  // namespace rung::nn
