#pragma once

#include <cstdint>

#include "kernels/dispatch.h"

namespace rung::kernels {

/// Loops over `count` floats, in any memory format. Outputs may be one of the inputs.
struct ElementwiseKernels {
  /// y = min(max(x, low), high); NaN stays NaN.
  void (*clip)(const float* x, float* y, std::int64_t count, float low, float high);
  /// dx = dy where low < x < high, else 0.
  void (*clip_backward)(const float* x, const float* dy, float* dx, std::int64_t count, float low,
                        float high);
  /// y = x > 0 ? x : alpha * x.
  void (*leaky_relu)(const float* x, float* y, std::int64_t count, float alpha);
  /// dx = x > 0 ? dy : alpha * dy.
  void (*leaky_relu_backward)(const float* x, const float* dy, float* dx, std::int64_t count,
                              float alpha);
  /// y = a * b.
  void (*multiply)(const float* a, const float* b, float* y, std::int64_t count);
  /// dx = dy * y * (1 - y), the gradient of y = sigmoid(x).
  void (*sigmoid_backward)(const float* y, const float* dy, float* dx, std::int64_t count);
};

RUNG_DECLARE_KERNELS(ElementwiseKernels, elementwise);

}  // namespace rung::kernels
