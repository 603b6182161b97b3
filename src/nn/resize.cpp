#include "nn/resize.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "nn/crop.h"
#include "nn/resample.h"

namespace rung::nn {
namespace {

// An image of 1 x 60000 whose shorter edge is to be 256 would have 4 billion pixels.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 27;

std::int64_t rounded(double x) { return static_cast<std::int64_t>(std::nearbyint(x)); }

float to_byte(float x) {
  return std::nearbyint(std::clamp(x, 0.0f, 1.0f) * 255.0f) / 255.0f;  // k / 255, as ToTensor
}

void require_not_empty(const Image& image) {
  require(image.height > 0 && image.width > 0, "resize: the image is empty ({}x{})", image.height,
          image.width);
}

void resize_to(Image& image, const ImageSize& size, PixelValues values) {
  require_not_empty(image);
  require(size.height <= kMaxPixels / size.width,
          "resize: an image of {}x{} would become {}x{}, which is too large", image.height,
          image.width, size.height, size.width);
  if (image.height == size.height && image.width == size.width) return;
  resample(image, size, {.top = 0, .left = 0, .height = size.height, .width = size.width}, values);
}

/// The size after resizing so that the shorter edge is this long.
ImageSize with_shorter_edge(const Image& image, std::int64_t shorter_edge) {
  const auto longer = [&](std::int64_t edge, std::int64_t other) {
    return static_cast<std::int64_t>(static_cast<double>(shorter_edge * edge) /
                                     static_cast<double>(std::max<std::int64_t>(other, 1)));
  };
  return image.height < image.width ? ImageSize{shorter_edge, longer(image.width, image.height)}
                                    : ImageSize{longer(image.height, image.width), shorter_edge};
}

/// The middle of an image. Half to even for a crop; but padding puts the odd row or column behind
/// (or below).
Window center(const ImageSize& image, const ImageSize& size) {
  const auto start = [](std::int64_t extent, std::int64_t wanted) {
    return extent >= wanted ? rounded(static_cast<double>(extent - wanted) / 2.0)
                            : -((wanted - extent) / 2);
  };
  return {.top = start(image.height, size.height),
          .left = start(image.width, size.width),
          .height = size.height,
          .width = size.width};
}

void require_size(std::string_view who, const ImageSize& size) {
  require(std::min(size.height, size.width) > 0 && std::max(size.height, size.width) <= kMaxExtent,
          "{}: a size must be in [1, {}], got {}x{}", who, kMaxExtent, size.height, size.width);
}

// The part of the image that comes closest to the ratios when no random window fitted.
Window middle(const Image& image, const RandomResizedCropOptions& o) {
  const double ratio = static_cast<double>(image.width) / static_cast<double>(image.height);
  std::int64_t h = image.height, w = image.width;
  if (ratio < o.ratio_min)
    h = std::max<std::int64_t>(1, rounded(static_cast<double>(w) / o.ratio_min));
  else if (ratio > o.ratio_max)
    w = std::max<std::int64_t>(1, rounded(static_cast<double>(h) * o.ratio_max));
  return {(image.height - h) / 2, (image.width - w) / 2, h, w};
}

Window random_window(const Image& image, const RandomResizedCropOptions& o, Rng& rng) {
  const double area = static_cast<double>(image.height) * static_cast<double>(image.width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double cut = area * rng.uniform(o.scale_min, o.scale_max);
    // Uniform in the logarithm, so that tall and wide are equally likely.
    const double ratio = std::exp(rng.uniform(std::log(o.ratio_min), std::log(o.ratio_max)));
    const std::int64_t w = rounded(std::sqrt(cut * ratio));
    const std::int64_t h = rounded(std::sqrt(cut / ratio));
    if (w <= 0 || w > image.width || h <= 0 || h > image.height) continue;
    const auto top = rng.below(static_cast<std::uint64_t>(image.height - h) + 1);
    const auto left = rng.below(static_cast<std::uint64_t>(image.width - w) + 1);
    return {static_cast<std::int64_t>(top), static_cast<std::int64_t>(left), h, w};
  }
  return middle(image, o);
}

}  // namespace

Transform resize(std::int64_t shorter_edge, const ResizeOptions& options) {
  require_size("resize", {shorter_edge, shorter_edge});
  return [shorter_edge, values = options.values](Image& image, Rng&) {
    require_not_empty(image);
    resize_to(image, with_shorter_edge(image, shorter_edge), values);
  };
}

Transform resize_and_crop(std::int64_t shorter_edge, std::int64_t size) {
  require_size("resize", {shorter_edge, shorter_edge});
  require_size("center_crop", {size, size});
  return [shorter_edge, size](Image& image, Rng&) {
    require_not_empty(image);
    const ImageSize resized = with_shorter_edge(image, shorter_edge);
    const Window window = center(resized, {size, size});
    if (resized.height == image.height && resized.width == image.width)
      crop(image, window);
    else
      resample(image, resized, window, PixelValues::bytes);
  };
}

Transform resize(const ImageSize& size, const ResizeOptions& options) {
  require_size("resize", size);
  return [size, values = options.values](Image& image, Rng&) { resize_to(image, size, values); };
}

Transform center_crop(std::int64_t size) { return center_crop(ImageSize{size, size}); }

Transform center_crop(const ImageSize& size) {
  require_size("center_crop", size);
  return [size](Image& image, Rng&) { crop(image, center({image.height, image.width}, size)); };
}

Transform random_resized_crop(std::int64_t size, const RandomResizedCropOptions& options) {
  require_size("random_resized_crop", {size, size});
  require(
      options.scale_min > 0.0 && options.scale_min <= options.scale_max && options.scale_max <= 1.0,
      "random_resized_crop: needs 0 < scale_min <= scale_max <= 1, got {} and {}",
      options.scale_min, options.scale_max);
  require(options.ratio_min > 0.0 && options.ratio_min <= options.ratio_max &&
              std::isfinite(options.ratio_max),
          "random_resized_crop: needs 0 < ratio_min <= ratio_max, got {} and {}", options.ratio_min,
          options.ratio_max);
  return [size, o = options](Image& image, Rng& rng) {
    require(image.height > 0 && image.width > 0, "random_resized_crop: the image is empty");
    crop(image, random_window(image, o, rng));
    resize_to(image, {size, size}, o.values);
  };
}

Transform grayscale() {
  return [](Image& image, Rng&) {
    if (image.channels == 1) return;
    require(image.channels == 3, "grayscale: the image has {} channels, must have 1 or 3",
            image.channels);
    const auto r = image.channel(0), g = image.channel(1), b = image.channel(2);
    for (std::size_t i = 0; i < r.size(); ++i)
      r[i] = to_byte(0.299f * r[i] + 0.587f * g[i] + 0.114f * b[i]);
    image.resize(1, image.height, image.width);
  };
}

}  // namespace rung::nn
