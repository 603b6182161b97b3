#pragma once

#include <cstdint>

#include "rung/nn/transforms.h"

namespace rung::nn {

/// Returns what compose({resize(shorter_edge), center_crop(size)}) does, without ever computing
/// what the crop throws away: of an image of 16384 x 1 that is all but a ten thousandth. `size`
/// must not be above shorter_edge.
Transform resize_and_crop(std::int64_t shorter_edge, std::int64_t size);

}  // namespace rung::nn
