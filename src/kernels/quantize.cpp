#include "kernels/quantize.h"

#include "quant/affine.h"

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

void forward(const float* __restrict x, float* __restrict y, std::int64_t count, AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = affine_unclamped(affine_round(affine_steps(x[i], p)), p);
    y[i] = affine_real(affine_clamp(code, p), p);
  }
}

void forward_stochastic(const float* __restrict x, float* __restrict y, std::int64_t count,
                        AffineParams p, RandomStream random) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float draw = affine_random(random.seed, random.first + static_cast<std::uint64_t>(i));
    const float whole = affine_round_stochastic(affine_steps(x[i], p), draw);
    y[i] = affine_real(affine_clamp(affine_unclamped(whole, p), p), p);
  }
}

void codes(const float* __restrict x, float* __restrict q, std::int64_t count, AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = affine_unclamped(affine_round(affine_steps(x[i], p)), p);
    q[i] = affine_clamp(code, p) + p.offset;
  }
}

void backward_data(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
                   std::int64_t count, AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float q = affine_unclamped(affine_round(affine_steps(x[i], p)), p), gradient = dy[i];
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
    const float steps = affine_steps(x[j], p), gradient = dy[j];
    const float q = affine_unclamped(affine_round(steps), p);
    const bool inside = (p.qmin <= q) & (q <= p.qmax);
    dx[j] = inside ? gradient : 0.0f;
    outside[j] = inside ? 0.0f : gradient;
    by_scale[j] = (affine_clamp(q, p) + p.offset) - (inside ? steps : 0.0f);
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
const QuantizeKernels quantize{forward,  forward_stochastic, codes,
                               backward, backward_data,      min_max};

}  // namespace rung::kernels::RUNG_ISA
