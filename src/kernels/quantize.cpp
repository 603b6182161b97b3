#include "kernels/quantize.h"

// Nobody looks at floating-point exception flags; that they might is all that keeps GCC from
// turning the selections below into vector instructions. Values are not affected.
#pragma GCC optimize("no-trapping-math")

// The loops work on groups of 16 numbers with one accumulator per lane, added up in a fixed order,
// so that every instruction set computes the same sums.

namespace rung::kernels::RUNG_ISA {
namespace {

constexpr int kLanes = 16;
constexpr float kInfinity = __builtin_inff();
constexpr float kLargest = __FLT_MAX__;

/// Rounds half to even, in the default rounding mode.
[[gnu::always_inline]] inline float rint(float x) {
#ifdef __SSE4_1__
  return __builtin_nearbyintf(x);
#else
  // SSE2 has no rounding instruction: adding 2^23 leaves no room for a fraction. Larger numbers
  // have none, NaN fails the comparison and stays.
  const float magnitude = __builtin_fabsf(x);
  const float rounded = __builtin_copysignf((magnitude + 8388608.0f) - 8388608.0f, x);
  return magnitude < 8388608.0f ? rounded : x;
#endif
}

[[gnu::always_inline]] inline float clamp(float q, AffineParams p) {
  q = p.qmin > q ? p.qmin : q;
  return p.qmax < q ? p.qmax : q;
}

void forward(const float* __restrict x, float* __restrict y, std::int64_t count, AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i)
    y[i] = (clamp(rint(x[i] / p.scale) - p.offset, p) + p.offset) * p.scale;
}

void backward_data(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
                   std::int64_t count, AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float q = rint(x[i] / p.scale) - p.offset, gradient = dy[i];
    dx[i] = (p.qmin <= q) & (q <= p.qmax) ? gradient : 0.0f;
  }
}

struct Lanes {
  double scale[kLanes] = {}, offset[kLanes] = {};
};

[[gnu::always_inline]] inline void backward_lanes(const float* __restrict x,
                                                  const float* __restrict dy, float* __restrict dx,
                                                  int n, AffineParams p, Lanes& lanes) {
  float by_scale[kLanes], outside[kLanes];
  for (int j = 0; j < n; ++j) {
    const float steps = x[j] / p.scale, gradient = dy[j];
    const float q = rint(steps) - p.offset;
    const bool inside = (p.qmin <= q) & (q <= p.qmax);
    dx[j] = inside ? gradient : 0.0f;
    outside[j] = inside ? 0.0f : gradient;
    by_scale[j] = (clamp(q, p) + p.offset) - (inside ? steps : 0.0f);
  }
  for (int j = 0; j < n; ++j) {
    lanes.scale[j] += static_cast<double>(dy[j]) * static_cast<double>(by_scale[j]);
    lanes.offset[j] += static_cast<double>(outside[j]);
  }
}

AffineSums backward(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
                    std::int64_t count, AffineParams p) {
  Lanes lanes;
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) backward_lanes(x + i, dy + i, dx + i, kLanes, p, lanes);
  backward_lanes(x + i, dy + i, dx + i, static_cast<int>(count - i), p, lanes);
  AffineSums sums;
  for (int j = 0; j < kLanes; ++j) {
    sums.scale += lanes.scale[j];
    sums.offset += lanes.offset[j];
  }
  sums.offset *= static_cast<double>(p.scale);
  return sums;
}

struct MinMaxLanes {
  float low[kLanes], high[kLanes];
  std::int32_t bad[kLanes];
};

[[gnu::always_inline]] inline void min_max_lanes(const float* x, int n, MinMaxLanes& lanes) {
  for (int j = 0; j < n; ++j) {
    const bool finite = __builtin_fabsf(x[j]) <= kLargest;
    const float low = finite ? x[j] : kInfinity, high = finite ? x[j] : -kInfinity;
    lanes.low[j] = low < lanes.low[j] ? low : lanes.low[j];
    lanes.high[j] = high > lanes.high[j] ? high : lanes.high[j];
    lanes.bad[j] += finite ? 0 : 1;
  }
}

MinMax min_max(const float* x, std::int64_t count) {
  MinMaxLanes lanes;
  for (int j = 0; j < kLanes; ++j) {
    lanes.low[j] = kInfinity;
    lanes.high[j] = -kInfinity;
    lanes.bad[j] = 0;
  }
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) min_max_lanes(x + i, kLanes, lanes);
  min_max_lanes(x + i, static_cast<int>(count - i), lanes);
  MinMax result{kInfinity, -kInfinity, 0};
  for (int j = 0; j < kLanes; ++j) {
    result.min = lanes.low[j] < result.min ? lanes.low[j] : result.min;
    result.max = lanes.high[j] > result.max ? lanes.high[j] : result.max;
    result.not_finite += lanes.bad[j];
  }
  return result;
}

}  // namespace

extern const QuantizeKernels quantize;
const QuantizeKernels quantize{forward, backward, backward_data, min_max};

}  // namespace rung::kernels::RUNG_ISA
