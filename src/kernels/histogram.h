#pragma once

#include <cstdint>

#include "kernels/dispatch.h"

namespace rung::kernels {

/// Equal bins over [min, min + width], at most 2048.
struct Bins {
  float min, width, count;
};

/// What range estimators spend their time on. All instruction sets give the same bits.
struct HistogramKernels {
  /// Adds 1 to counts[bin of x] for every x; numbers outside are counted at the ends.
  void (*count)(const float* x, std::int64_t n, const Bins& bins, std::uint32_t* counts);
  /// Returns the squared error, weighted by counts, of numbers that are rounded to
  /// (0 .. steps) + offset times scale; what is clipped counts `gamma` times. n is a multiple
  /// of 16.
  double (*noise)(const float* numbers, const float* counts, std::int64_t n, float scale,
                  float offset, float steps, float gamma);
};
RUNG_DECLARE_KERNELS(HistogramKernels, histogram);

}  // namespace rung::kernels
