#include "rung/nn/transforms.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "nn/crop.h"

namespace rung::nn {

void Image::resize(std::int64_t new_channels, std::int64_t new_height, std::int64_t new_width) {
  channels = new_channels;
  height = new_height;
  width = new_width;
  pixels.resize(static_cast<std::size_t>(channels * height * width));
}

std::span<float> Image::channel(std::int64_t index) {
  const auto count = static_cast<std::size_t>(height * width);
  return std::span(pixels).subspan(static_cast<std::size_t>(index) * count, count);
}

std::span<float> Image::row(std::int64_t index, std::int64_t y) {
  return channel(index).subspan(static_cast<std::size_t>(y * width),
                                static_cast<std::size_t>(width));
}

Transform compose(std::vector<Transform> transforms) {
  for (std::size_t i = 0; i < transforms.size(); ++i)
    require(transforms[i] != nullptr, "compose: transform {} is empty", i);
  return [transforms = std::move(transforms)](Image& image, Rng& rng) {
    for (const Transform& transform : transforms) transform(image, rng);
  };
}

Transform random_crop(std::int64_t size, std::int64_t padding) {
  require(size > 0 && padding >= 0,
          "random_crop: size must be positive and padding not negative, got {} and {}", size,
          padding);
  return [size, padding](Image& image, Rng& rng) {
    const std::int64_t spare_y = image.height + 2 * padding - size;
    const std::int64_t spare_x = image.width + 2 * padding - size;
    require(spare_y >= 0 && spare_x >= 0,
            "random_crop: cannot cut {}x{} out of an image of {}x{} with padding {}", size, size,
            image.height, image.width, padding);
    // The window's corner in the coordinates of the unpadded image.
    const auto draw = [&](std::int64_t spare) {
      return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(spare) + 1)) - padding;
    };
    const std::int64_t top = draw(spare_y);
    const std::int64_t left = draw(spare_x);
    crop(image, {.top = top, .left = left, .height = size, .width = size});
  };
}

Transform random_horizontal_flip(double probability) {
  require(probability >= 0.0 && probability <= 1.0,
          "random_horizontal_flip: probability must be in [0, 1], got {}", probability);
  return [probability](Image& image, Rng& rng) {
    if (!rng.bernoulli(probability)) return;
    for (std::int64_t c = 0; c < image.channels; ++c)
      for (std::int64_t y = 0; y < image.height; ++y) std::ranges::reverse(image.row(c, y));
  };
}

Transform normalize(std::vector<float> mean, std::vector<float> std) {
  require(!mean.empty() && mean.size() == std.size(),
          "normalize: needs one mean and one std per channel, got {} and {}", mean.size(),
          std.size());
  for (std::size_t c = 0; c < std.size(); ++c)
    require(std::isfinite(mean[c]) && std::isfinite(std[c]) && std[c] > 0.0f,
            "normalize: channel {} needs a finite mean and a positive std, got {} and {}", c,
            mean[c], std[c]);
  return [mean = std::move(mean), std = std::move(std)](Image& image, Rng&) {
    require(image.channels == static_cast<std::int64_t>(mean.size()),
            "normalize: has statistics of {} channels, the image has {}", mean.size(),
            image.channels);
    for (std::size_t c = 0; c < mean.size(); ++c)
      for (float& x : image.channel(static_cast<std::int64_t>(c))) x = (x - mean[c]) / std[c];
  };
}

Transform random_erasing(const RandomErasingOptions& options) {
  require(options.probability >= 0.0 && options.probability <= 1.0,
          "random_erasing: probability must be in [0, 1], got {}", options.probability);
  require(options.scale_min >= 0.0 && options.scale_min <= options.scale_max &&
              options.scale_max <= 1.0,
          "random_erasing: needs 0 <= scale_min <= scale_max <= 1, got {} and {}",
          options.scale_min, options.scale_max);
  require(options.ratio_min > 0.0 && options.ratio_min <= options.ratio_max &&
              std::isfinite(options.ratio_max),
          "random_erasing: needs 0 < ratio_min <= ratio_max, got {} and {}", options.ratio_min,
          options.ratio_max);
  return [o = options](Image& image, Rng& rng) {
    if (!rng.bernoulli(o.probability)) return;
    const double area = static_cast<double>(image.height * image.width);
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double erased = area * rng.uniform(o.scale_min, o.scale_max);
      // Uniform in the logarithm, so that tall and wide are equally likely.
      const double ratio = std::exp(rng.uniform(std::log(o.ratio_min), std::log(o.ratio_max)));
      const auto h = static_cast<std::int64_t>(std::nearbyint(std::sqrt(erased * ratio)));
      const auto w = static_cast<std::int64_t>(std::nearbyint(std::sqrt(erased / ratio)));
      if (h >= image.height || w >= image.width) continue;
      const auto top =
          static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(image.height - h) + 1));
      const auto left = rng.below(static_cast<std::uint64_t>(image.width - w) + 1);
      for (std::int64_t c = 0; c < image.channels; ++c)
        for (std::int64_t y = top; y < top + h; ++y)
          std::ranges::fill(image.row(c, y).subspan(left, static_cast<std::size_t>(w)), o.value);
      return;
    }
  };
}

}  // namespace rung::nn
