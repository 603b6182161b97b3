#include "ops/linear/image_gradient.h"

#include <algorithm>

#include "core/check.h"
#include "kernels/multiply.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

constexpr std::int64_t kPixels = 240;  // at once: both factors and the products fit the L2 cache
constexpr std::int64_t kLanes = 16;

// Adds a row of taps; with a count that the compiler knows it is a few instructions.
template <int kCount>
[[gnu::always_inline]] inline void add_taps(const float* from, float* to) {
  for (int i = 0; i < kCount; ++i) to[i] += from[i];
}

void add_taps(const float* from, float* to, std::int64_t count, std::int64_t step) {
  if (step == 1) {
    if (count == 3) return add_taps<3>(from, to);
    if (count == 5) return add_taps<5>(from, to);
    if (count == 7) return add_taps<7>(from, to);
  }
  for (std::int64_t i = 0; i < count; ++i) to[i * step] += from[i];
}

}  // namespace

ImageGradient::ImageGradient(const backend::ConvolutionSpec& spec) : spec_(spec) {
  const auto lanes = static_cast<std::int64_t>(spec.dst_format);
  outputs_ = (spec.dst[1] + lanes - 1) / lanes * lanes;
  taps_ = spec.src[1] * spec.kernel[0] * spec.kernel[1];
  width_ = (taps_ + kLanes - 1) / kLanes * kLanes;
  const std::int64_t images = std::max<std::int64_t>(1, spec.src[0]);
  const std::int64_t out_width = std::max<std::int64_t>(1, spec.dst[3]);
  rows_ = std::clamp<std::int64_t>(kPixels / out_width, 1, std::max<std::int64_t>(1, spec.dst[2]));
  workers_ = std::min<std::int64_t>(images, thread_count());
}

std::int64_t ImageGradient::scratch_floats() const {
  return outputs_ * width_ + workers_ * (pixels_floats() + products_floats());
}

// Writes the weights as the right side of a product, [O, taps] in panels; what is padding is zero.
void ImageGradient::transpose(const float* weights, float* panels) const {
  std::fill_n(panels, outputs_ * width_, 0.0f);
  for (std::int64_t first = 0; first < width_; first += kernels::kPanel * kLanes) {
    const std::int64_t width = std::min(kernels::kPanel * kLanes, width_ - first);
    for (std::int64_t o = 0; o < spec_.dst[1]; ++o)
      std::copy_n(weights + o * taps_ + first, std::min(width, taps_ - first),
                  panels + first * outputs_ + o * width);
  }
}

// Writes [pixels, O] of some rows of one image.
void ImageGradient::gather(const float* diff_dst, std::int64_t row, std::int64_t rows,
                           float* pixels) const {
  const auto lanes = static_cast<std::int64_t>(spec_.dst_format);
  const std::int64_t area = spec_.dst[2] * spec_.dst[3];
  const std::int64_t count = rows * spec_.dst[3], first = row * spec_.dst[3];
  for (std::int64_t o = 0; o < outputs_; o += lanes) {
    const float* from = diff_dst + o * area + first * lanes;
    for (std::int64_t p = 0; p < count; ++p)
      std::copy_n(from + p * lanes, lanes, pixels + p * outputs_ + o);
  }
}

// Adds products [pixels, taps] to the places of the image that the taps read.
void ImageGradient::scatter(const float* products, std::int64_t row, std::int64_t rows,
                            float* image) const {
  const auto [unused, channels, height, width] = spec_.src;
  const std::int64_t kernel_width = spec_.kernel[1], step = spec_.dilation[1];
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t p = 0; p < spec_.dst[3]; ++p, products += width_) {
      const std::int64_t left = p * spec_.stride[1] - spec_.padding[1];
      // The taps that are inside the image: 0 <= left + step * kw < width.
      const std::int64_t begin = left >= 0 ? 0 : (-left + step - 1) / step;
      const std::int64_t end =
          left >= width ? 0 : std::min(kernel_width, (width - left + step - 1) / step);
      const float* from = products;
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t kh = 0; kh < spec_.kernel[0]; ++kh, from += kernel_width) {
          const std::int64_t y =
              (row + r) * spec_.stride[0] + kh * spec_.dilation[0] - spec_.padding[0];
          if (y < 0 || y >= height) continue;
          float* to = image + (c * height + y) * width + left;
          if (begin < end) add_taps(from + begin, to + begin * step, end - begin, step);
        }
    }
}

void ImageGradient::run(const float* diff_dst, const float* weights, float* diff_src,
                        float* scratch) const {
  const std::int64_t height = spec_.dst[2];
  const std::int64_t image = spec_.src[1] * spec_.src[2] * spec_.src[3];
  const std::int64_t gradient = outputs_ * height * spec_.dst[3];  // floats of an image
  float* panels = scratch;
  transpose(weights, panels);
  scratch += outputs_ * width_;
  parallel_items(spec_.src[0], workers_, [&](std::int64_t n, std::int64_t worker) {
    float* pixels = scratch + worker * (pixels_floats() + products_floats());
    float* products = pixels + pixels_floats();
    float* to = diff_src + n * image;
    std::fill_n(to, image, 0.0f);
    for (std::int64_t row = 0; row < height; row += rows_) {
      const std::int64_t rows = std::min(rows_, height - row);
      gather(diff_dst + n * gradient, row, rows, pixels);
      kernels::multiply_kernels().lanes16({.m = rows * spec_.dst[3],
                                           .n = width_,
                                           .k = outputs_,
                                           .a = pixels,
                                           .a_row = outputs_,
                                           .a_step = 1,
                                           .b = panels,
                                           .c = products,
                                           .c_row = width_,
                                           .adds = false});
      scatter(products, row, rows, to);
    }
  });
}

}  // namespace rung
