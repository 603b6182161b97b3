#include "nn/resample.h"

#include <new>

// Its assertion that weights sum up to 1 within 10 % before they are normalized does not hold for a
// triangle at some ratios, 1.4 among them; without it the result is right.
#define STBIR_ASSERT(condition) ((void)0)
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image_resize.h>
#pragma GCC diagnostic pop

namespace rung::nn {
namespace {

/// One channel, row by row.
struct Plane {
  std::int64_t height = 0, width = 0;
};

void resample_plane(const float* source, const Plane& from, float* target, const Plane& to) {
  const int done = stbir_resize_float_generic(
      source, static_cast<int>(from.width), static_cast<int>(from.height), 0, target,
      static_cast<int>(to.width), static_cast<int>(to.height), 0, /*num_channels=*/1,
      STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_ZERO, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR,
      nullptr);
  if (done == 0) throw std::bad_alloc();  // the only reason that is left
}

/// Returns what a line of ones becomes: the sum of the weights that lie inside of the image.
std::vector<float> weight_sums(std::int64_t from, std::int64_t to) {
  const std::vector<float> ones(static_cast<std::size_t>(from), 1.0f);
  std::vector<float> sums(static_cast<std::size_t>(to));
  resample_plane(ones.data(), {1, from}, sums.data(), {1, to});
  return sums;
}

}  // namespace

// The library repeats or mirrors edge pixels, or takes zeros beyond them. Zeros divided by the same
// for ones are the filter over the pixels that exist. The filter is separable, so are its sums.
void resample(Image& image, const ImageSize& size) {
  const Plane from{image.height, image.width}, to{size.height, size.width};
  const std::vector<float> rows = weight_sums(from.height, to.height);
  const std::vector<float> columns = weight_sums(from.width, to.width);
  const auto plane = static_cast<std::size_t>(to.height * to.width);
  image.scratch.resize(static_cast<std::size_t>(image.channels) * plane);
  for (std::int64_t c = 0; c < image.channels; ++c) {
    float* target = image.scratch.data() + static_cast<std::size_t>(c) * plane;
    resample_plane(image.channel(c).data(), from, target, to);
    for (const float row : rows)
      for (const float column : columns) *target++ /= row * column;
  }
  image.pixels.swap(image.scratch);
  image.height = to.height;
  image.width = to.width;
}

}  // namespace rung::nn
