#pragma once

#include <cstdint>

#include "rung/nn/transforms.h"

namespace rung::nn {

/// A part of an image; it may reach over the edges.
struct Window {
  std::int64_t top = 0, left = 0, height = 0, width = 0;
};

/// Cuts a window out of all channels; what lies outside of the image is 0.
void crop(Image& image, const Window& window);

}  // namespace rung::nn
