#pragma once

#include <cstdint>

#include "kernels/dispatch.h"

namespace rung::kernels {

/// The sizes of one pooled plane, in pixels.
struct PoolGeometry {
  std::int64_t h, w;    ///< of the input
  std::int64_t oh, ow;  ///< of the output
  std::int64_t kernel_h, kernel_w;
  std::int64_t stride_h, stride_w;
  std::int64_t padding_h, padding_w;  ///< in front
  std::int64_t dilation_h, dilation_w;
  std::int64_t padded_h, padded_w;  ///< of the input with the padding on both sides
  bool count_include_pad;
};

/// Pooling of one plane [H, W, block]: one image and one channel block. `block` is 1, 8 or 16.
/// Windows are summed in row-major order, in float; whole planes in double.
struct PoolKernels {
  /// `winner`, [OH, OW, block], gets the position ky * kernel_w + kx in the window.
  void (*max_forward)(const PoolGeometry&, int block, const float* x, float* y,
                      std::uint16_t* winner);
  void (*max_backward)(const PoolGeometry&, int block, const float* dy, const std::uint16_t* winner,
                       float* dx);
  void (*average_forward)(const PoolGeometry&, int block, const float* x, float* y);
  void (*average_backward)(const PoolGeometry&, int block, const float* dy, float* dx);
  /// y[block] = mean over the plane's `pixels`.
  void (*mean_forward)(std::int64_t pixels, int block, const float* x, float* y);
  /// dx[pixels, block] = dy[block] / pixels.
  void (*mean_backward)(std::int64_t pixels, int block, const float* dy, float* dx);
};

RUNG_DECLARE_KERNELS(PoolKernels, pool);

}  // namespace rung::kernels
