#pragma once

#include <cstdint>

#include "kernels/dispatch.h"
#include "rung/core/format.h"
#include "rung/core/shape.h"

namespace rung::kernels {

/// Loops over one channel block of one image: `channels` <= `lanes` real channels of `area` pixels.
struct ReorderKernels {
  void (*block)(const float* plain, float* blocked, std::int64_t channels, std::int64_t lanes,
                std::int64_t area);
  void (*unblock)(const float* blocked, float* plain, std::int64_t channels, std::int64_t lanes,
                  std::int64_t area);
};
RUNG_DECLARE_KERNELS(ReorderKernels, reorder);

/// Returns how many floats a tensor takes in a format: channels are padded to whole blocks.
std::int64_t padded_count(const Shape& shape, Format format);

/// Copies a tensor between row-major and a blocked format, either way; padding becomes zero.
void reorder(const Shape& shape, const float* from, Format from_format, float* to,
             Format to_format);

}  // namespace rung::kernels
