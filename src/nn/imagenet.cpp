#include <cmath>

#include "core/check.h"
#include "nn/resize.h"
#include "rung/nn/transforms.h"

namespace rung::nn {

std::int64_t imagenet_resize(std::int64_t size) {
  return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(size) * 256.0 / 224.0));
}

Transform imagenet_eval(const ImagenetOptions& options) {
  const std::int64_t edge = options.resize == 0 ? imagenet_resize(options.size) : options.resize;
  require(edge >= options.size, "imagenet_eval: cannot crop {} out of images resized to {}",
          options.size, edge);
  return compose({resize_and_crop(edge, options.size),
                  normalize(options.statistics.mean, options.statistics.std)});
}

Transform imagenet_train(const ImagenetOptions& options) {
  return compose({random_resized_crop(options.size), random_horizontal_flip(),
                  normalize(options.statistics.mean, options.statistics.std)});
}

}  // namespace rung::nn
