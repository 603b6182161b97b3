#pragma once

#include <cstdint>

#include "kernels/dispatch.h"

namespace rung::kernels {

/// One channel's encoding as floats: for grids below 20 bits, whose codes float32 can tell apart.
struct AffineParams {
  float scale = 1.0f, offset = 0.0f, qmin = 0.0f, qmax = 255.0f;
};

/// d loss / d scale and d loss / d offset of one stretch of numbers.
struct AffineSums {
  double scale = 0.0, offset = 0.0;
};

/// Smallest and largest finite number of a stretch (min > max if there is none), and how many are
/// NaN or infinite.
struct MinMax {
  float min = 0.0f, max = 0.0f;
  std::int64_t not_finite = 0;
};

/// Vectorized quantize_dequantize() and its gradient (rung/quant/fake_quantize.h specifies them),
/// for `count` numbers that share scale and offset. y and dx have the specification's bits, sums
/// are the same for every instruction set. Blocked formats may pass their padding through: zero
/// stays zero.
struct QuantizeKernels {
  void (*forward)(const float* x, float* y, std::int64_t count, AffineParams params);
  /// Writes dx, and returns the sums.
  AffineSums (*backward)(const float* x, const float* dy, float* dx, std::int64_t count,
                         AffineParams params);
  /// Writes dx only.
  void (*backward_data)(const float* x, const float* dy, float* dx, std::int64_t count,
                        AffineParams params);
  MinMax (*min_max)(const float* x, std::int64_t count);
};

RUNG_DECLARE_KERNELS(QuantizeKernels, quantize);

}  // namespace rung::kernels
