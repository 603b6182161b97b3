#include "backend/image_gradient.h"

#include <algorithm>

#include "core/format.h"
#include "rung/core/parallel.h"

namespace rung::backend {
namespace {

constexpr std::int64_t kPixels = 256;  // of one gemm: its operands and products fit the L2 cache

}  // namespace

ImageGradient::ImageGradient(const ConvolutionSpec& spec) : spec_(spec) {
  const std::int64_t images = std::max<std::int64_t>(1, spec.src[0]);
  const std::int64_t width = std::max<std::int64_t>(1, spec.dst[3]);
  rows_ = std::clamp<std::int64_t>(kPixels / width, 1, std::max<std::int64_t>(1, spec.dst[2]));
  grain_ = (images + thread_count() - 1) / thread_count();
  workers_ = (images + grain_ - 1) / grain_;
}

// Writes [pixels, O] of some rows of one image.
void ImageGradient::gather(const float* diff_dst, std::int64_t row, std::int64_t rows,
                           float* pixels) const {
  const std::int64_t outputs = spec_.dst[1], area = spec_.dst[2] * spec_.dst[3];
  const std::int64_t lanes = static_cast<std::int64_t>(spec_.dst_format);
  const std::int64_t count = rows * spec_.dst[3], first = row * spec_.dst[3];
  for (std::int64_t o = 0; o < outputs; o += lanes) {
    const float* from = diff_dst + o * area + first * lanes;
    const std::int64_t real = std::min(lanes, outputs - o);
    for (std::int64_t p = 0; p < count; ++p)
      std::copy_n(from + p * lanes, real, pixels + p * outputs + o);
  }
}

// Adds products [taps, pixels] to the places of the image that the taps read.
void ImageGradient::scatter(const float* products, std::int64_t row, std::int64_t rows,
                            float* image) const {
  const auto [unused, channels, height, width] = spec_.src;
  const std::int64_t out_width = spec_.dst[3], step = spec_.stride[1];
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t kh = 0; kh < spec_.kernel[0]; ++kh)
      for (std::int64_t kw = 0; kw < spec_.kernel[1]; ++kw) {
        const std::int64_t left = kw * spec_.dilation[1] - spec_.padding[1];
        // The pixels whose tap is inside the image: 0 <= left + step * p < width.
        const std::int64_t begin = left >= 0 ? 0 : (-left + step - 1) / step;
        const std::int64_t end =
            left >= width ? 0 : std::min(out_width, (width - left + step - 1) / step);
        for (std::int64_t r = 0; r < rows; ++r, products += out_width) {
          const std::int64_t y =
              (row + r) * spec_.stride[0] + kh * spec_.dilation[0] - spec_.padding[0];
          if (y < 0 || y >= height) continue;
          float* to = image + (c * height + y) * width + left;
          if (step == 1)
            for (std::int64_t p = begin; p < end; ++p) to[p] += products[p];
          else
            for (std::int64_t p = begin; p < end; ++p) to[p * step] += products[p];
        }
      }
}

void ImageGradient::run(const float* diff_dst, const float* weights, float* diff_src,
                        float* scratch) const {
  const std::int64_t outputs = spec_.dst[1], height = spec_.dst[2];
  const std::int64_t image = spec_.src[1] * spec_.src[2] * spec_.src[3];
  const auto lanes = static_cast<std::int64_t>(spec_.dst_format);
  const std::int64_t gradient =
      (outputs + lanes - 1) / lanes * lanes * height * spec_.dst[3];  // floats of an image
  parallel_for(spec_.src[0], grain_, [&](std::int64_t begin, std::int64_t end) {
    float* pixels = scratch + begin / grain_ * (pixels_floats() + products_floats());
    float* products = pixels + pixels_floats();
    for (std::int64_t n = begin; n < end; ++n) {
      float* to = diff_src + n * image;
      std::fill_n(to, image, 0.0f);
      for (std::int64_t row = 0; row < height; row += rows_) {
        const std::int64_t rows = std::min(rows_, height - row);
        gather(diff_dst + n * gradient, row, rows, pixels);
        gemm(true, true, taps(), rows * spec_.dst[3], outputs, weights, pixels, products);
        scatter(products, row, rows, to);
      }
    }
  });
}

}  // namespace rung::backend
