#pragma once

#include <cstdint>

#include "kernels/affine.h"
#include "kernels/dispatch.h"

namespace rung::kernels {

/// One channel's encoding as floats: for grids below 20 bits, whose codes float32 can tell apart.
using AffineParams = Affine<float>;

/// The draws of stochastic rounding: those of the elements `first`, `first + 1`, ...
struct RandomStream {
  std::uint64_t seed = 0, first = 0;
};

/// Numbers v with low < v <= high.
struct Interval {
  float low = -__builtin_inff(), high = __builtin_inff();
};
/// Returns the numbers that no end of the grid clamps: those whose gradient passes (the
/// straight-through estimator). They are an interval, as division and rounding keep the order.
Interval passes(const AffineParams& params);

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
/// are the same for every instruction set. Outputs of forward and codes may be x. Blocked formats
/// may pass their padding through: zero stays zero.
struct QuantizeKernels {
  void (*forward)(const float* x, float* y, std::int64_t count, AffineParams params);
  void (*forward_stochastic)(const float* x, float* y, std::int64_t count, AffineParams params,
                             RandomStream random);
  /// Writes code + offset, as whole floats: y without its scale.
  void (*codes)(const float* x, float* q, std::int64_t count, AffineParams params);
  /// Writes code - qmin of what forward() wrote, for grids of up to 8 bits (0 for NaN), and y
  /// again.
  void (*pack)(const float* y, std::uint8_t* codes, std::int64_t count, AffineParams params);
  void (*unpack)(const std::uint8_t* codes, float* y, std::int64_t count, AffineParams params);
  /// Writes dx, and returns the sums.
  AffineSums (*backward)(const float* x, const float* dy, float* dx, std::int64_t count,
                         AffineParams params, Interval passes);
  /// Writes dx only: dy where x is in the interval, else 0.
  void (*backward_data)(const float* x, const float* dy, float* dx, std::int64_t count,
                        Interval passes);
  MinMax (*min_max)(const float* x, std::int64_t count);
};

RUNG_DECLARE_KERNELS(QuantizeKernels, quantize);

/// Returns the largest magnitude; infinity if a number is not finite.
float largest_magnitude(const float* x, std::int64_t count);

/// QuantizeKernels::pack and unpack on all threads.
void pack(const float* y, std::uint8_t* codes, std::int64_t count, const AffineParams& params);
void unpack(const std::uint8_t* codes, float* y, std::int64_t count, const AffineParams& params);

}  // namespace rung::kernels
