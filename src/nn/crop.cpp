#include "nn/crop.h"

#include <algorithm>

namespace rung::nn {

void crop(Image& image, const Window& window) {
  const auto& [top, left, height, width] = window;
  // The rows and columns of the window that lie inside of the image.
  const std::int64_t y_begin = std::max<std::int64_t>(0, -top);
  const std::int64_t y_end = std::min(height, image.height - top);
  const std::int64_t x_begin = std::max<std::int64_t>(0, -left);
  const std::int64_t x_end = std::min(width, image.width - left);
  image.scratch.assign(static_cast<std::size_t>(image.channels * height * width), 0.0f);
  for (std::int64_t c = 0; c < image.channels; ++c)
    for (std::int64_t y = y_begin; y < y_end && x_begin < x_end; ++y) {
      const auto source = image.row(c, top + y)
                              .subspan(static_cast<std::size_t>(left + x_begin),
                                       static_cast<std::size_t>(x_end - x_begin));
      std::ranges::copy(source, image.scratch.begin() + (c * height + y) * width + x_begin);
    }
  image.pixels.swap(image.scratch);
  image.height = height;
  image.width = width;
}

}  // namespace rung::nn
