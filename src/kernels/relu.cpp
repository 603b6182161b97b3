#include "kernels/relu.h"

namespace rung::kernels::RUNG_ISA {
namespace {

void relu_loop(const float* __restrict x, float* __restrict y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void pass_between_loop(const float* __restrict dy, const float* __restrict y, float* __restrict dx,
                       std::int64_t count, Interval passes) {
  for (std::int64_t i = 0; i < count; ++i)
    dx[i] = ((y[i] > passes.low) & (y[i] <= passes.high)) ? dy[i] : 0.0f;
}

// The three may be the same tensor: x + x, or sum += x.
void add_loop(const float* a, const float* b, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

}  // namespace

const ReluKernels relu = {relu_loop, pass_between_loop, add_loop};

}  // namespace rung::kernels::RUNG_ISA
