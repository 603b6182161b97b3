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

struct ImageSize {
  std::int64_t height = 0, width = 0;
};

/// What computed pixel values become.
enum class PixelValues {
  bytes,  ///< rounded to k / 255 and kept in [0, 1], as torchvision does on PIL images
  exact,  ///< left as they are, as torchvision does on float tensors with antialias
};

struct ResizeOptions {
  PixelValues values = PixelValues::bytes;
};

/// Resizes with antialiased bilinear interpolation, keeping the ratio: the shorter edge becomes
/// this long, the other one is rounded down. Bytes are torchvision's, to the bit. The
/// transform throws Error if the result would be enormous. torchvision.transforms.Resize(int).
RUNG_API Transform resize(std::int64_t shorter_edge, const ResizeOptions& options = {});
/// The same for both edges. torchvision.transforms.Resize((h, w)).
RUNG_API Transform resize(const ImageSize& size, const ResizeOptions& options = {});

/// Cuts the middle out, of an image that is smaller with zeros around it.
/// torchvision.transforms.CenterCrop.
RUNG_API Transform center_crop(std::int64_t size);
RUNG_API Transform center_crop(const ImageSize& size);

struct RandomResizedCropOptions {
  double scale_min = 0.08, scale_max = 1.0;             ///< share of the image's area
  double ratio_min = 3.0 / 4.0, ratio_max = 4.0 / 3.0;  ///< width / height
  PixelValues values = PixelValues::bytes;
};

/// Cuts out a window of random area, ratio and place, and resizes it to size x size; after ten
/// windows that do not fit it takes the middle. torchvision.transforms.RandomResizedCrop.
RUNG_API Transform random_resized_crop(std::int64_t size,
                                       const RandomResizedCropOptions& options = {});

/// Replaces red, green and blue by their luma (ITU-R 601), rounded to k / 255: [1, H, W]. Leaves
/// one channel alone. torchvision.transforms.Grayscale.
RUNG_API Transform grayscale();

// Colors of one or three channels in [0, 1], as torchvision's functions of the same names compute
// them on float tensors. They throw Error for another number of channels or a wrong factor.

/// Scales towards black: 0 is black, 1 the image itself, 2 twice as bright.
RUNG_API void adjust_brightness(Image& image, double factor);
/// Scales towards the mean luma.
RUNG_API void adjust_contrast(Image& image, double factor);
/// Scales towards each pixel's luma: 0 is grey.
RUNG_API void adjust_saturation(Image& image, double factor);
/// Turns the hue by this share of the color circle, in [-0.5, 0.5].
RUNG_API void adjust_hue(Image& image, double shift);

struct ColorJitterOptions {
  double brightness = 0.0;  ///< factors are drawn from [max(0, 1 - x), 1 + x]
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;  ///< shifts are drawn from [-x, x]; at most 0.5
};

/// Changes the colors at random, in random order. torchvision.transforms.ColorJitter.
RUNG_API Transform color_jitter(const ColorJitterOptions& options);

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

/// Mean and standard deviation of ImageNet's training images, which torchvision's models expect.
struct ImagenetStatistics {
  std::vector<float> mean = {0.485f, 0.456f, 0.406f};
  std::vector<float> std = {0.229f, 0.224f, 0.225f};
};

struct ImagenetOptions {
  std::int64_t size = 224;  ///< of the result: [3, size, size]
  std::int64_t resize = 0;  ///< shorter edge before the crop; 0: imagenet_resize(size)
  ImagenetStatistics statistics = {};
};

/// Returns round(size * 256 / 224): how torchvision's models are evaluated.
RUNG_API std::int64_t imagenet_resize(std::int64_t size);
/// resize, center_crop, normalize. Only what the crop keeps is computed.
RUNG_API Transform imagenet_eval(const ImagenetOptions& options = {});
/// random_resized_crop, random_horizontal_flip, normalize.
RUNG_API Transform imagenet_train(const ImagenetOptions& options = {});

}  // namespace rung::nn
