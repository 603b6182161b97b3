#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/rng.h"

namespace rung::nn {

/// One image on its way through transforms. Data workers reuse it, so that a transform that needs
/// a second buffer takes `scratch` and swaps instead of allocating.
struct RUNG_API Image {
  std::int64_t channels = 0, height = 0, width = 0;
  std::vector<float> pixels;   ///< [C, H, W]
  std::vector<float> scratch;  ///< of any size and content

  /// Sets the extents and makes `pixels` fit them; the contents are unspecified.
  void resize(std::int64_t new_channels, std::int64_t new_height, std::int64_t new_width);
  std::span<float> channel(std::int64_t index);
  std::span<float> row(std::int64_t channel, std::int64_t y);
};

/// Changes an image; draws only from the Rng it gets. Called from several threads at once. One of
/// your own is any callable.
using Transform = std::function<void(Image& image, Rng& rng)>;

/// Applies transforms in order. torchvision.transforms.Compose.
RUNG_API Transform compose(std::vector<Transform> transforms);

/// Puts `padding` zeros on all four sides, then cuts out size x size at a random place. The
/// transform throws Error if the padded image is smaller. torchvision.transforms.RandomCrop.
RUNG_API Transform random_crop(std::int64_t size, std::int64_t padding = 0);

/// Mirrors left and right with this probability. torchvision.transforms.RandomHorizontalFlip.
RUNG_API Transform random_horizontal_flip(double probability = 0.5);

/// Maps x to (x - mean) / std, per channel. Throws Error if a std is not positive; the transform
/// does if the image has another number of channels. torchvision.transforms.Normalize.
RUNG_API Transform normalize(std::vector<float> mean, std::vector<float> std);

struct RandomErasingOptions {
  double probability = 0.5;
  double scale_min = 0.02, scale_max = 0.33;  ///< erased share of the area
  double ratio_min = 0.3, ratio_max = 3.3;    ///< height / width
  float value = 0.0f;                         ///< what is written; after normalize 0 is the mean
};

/// Overwrites a random rectangle in all channels (Zhong et al. 2017). After ten rectangles that do
/// not fit it leaves the image alone. torchvision.transforms.RandomErasing.
RUNG_API Transform random_erasing(const RandomErasingOptions& options = {});

}  // namespace rung::nn
