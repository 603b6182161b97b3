#pragma once

#include <cstdint>

#include "kernels/dispatch.h"
#include "kernels/quantize.h"

namespace rung::kernels {

/// Loops over `count` floats of one chunk; the functions below run them on all threads.
struct ReluKernels {
  void (*relu)(const float* x, float* y, std::int64_t count);
  void (*pass_between)(const float* dy, const float* y, float* dx, std::int64_t count,
                       Interval passes);
  void (*add)(const float* a, const float* b, float* y, std::int64_t count);
};
RUNG_DECLARE_KERNELS(ReluKernels, relu);

/// y = x where x is not below 0 (NaN stays), else 0.
void relu(const float* x, float* y, std::int64_t count);
/// dx = dy where y is in the interval, else 0: the gradient of what was clipped, found from its
/// result.
void pass_between(const float* dy, const float* y, float* dx, std::int64_t count, Interval passes);
void add(const float* a, const float* b, float* y, std::int64_t count);

}  // namespace rung::kernels
