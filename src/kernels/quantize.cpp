#include "kernels/quantize.h"

#include "kernels/affine.h"
#include "kernels/epilogue_inline.h"

// Nobody looks at floating-point exception flags; that they might is all that keeps GCC from
// turning the selections below into vector instructions. Values are not affected.
#pragma GCC optimize("no-trapping-math")

// The loops work on groups of 16 numbers with one accumulator per lane, added up in a fixed order,
// so that every instruction set computes the same sums.

namespace rung::kernels::RUNG_ISA {
namespace {

constexpr int kLanes = kSumLanes;
constexpr float kInfinity = __builtin_inff();
constexpr float kLargest = __FLT_MAX__;

// y may be x: "ivdep" says that no number depends on another.
void forward(const float* x, float* y, std::int64_t count, AffineParams p) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = affine_unclamped(affine_round(affine_steps(x[i], p)), p);
    y[i] = affine_real(affine_clamp(code, p), p);
  }
}

void forward_stochastic(const float* x, float* y, std::int64_t count, AffineParams p,
                        RandomStream random) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float draw = affine_random(random.seed, random.first + static_cast<std::uint64_t>(i));
    const float whole = affine_round_stochastic(affine_steps(x[i], p), draw);
    y[i] = affine_real(affine_clamp(affine_unclamped(whole, p), p), p);
  }
}

void codes(const float* x, float* q, std::int64_t count, AffineParams p) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = affine_unclamped(affine_round(affine_steps(x[i], p)), p);
    q[i] = affine_clamp(code, p) + p.offset;
  }
}

void pack(const float* __restrict y, std::uint8_t* __restrict codes, std::int64_t count,
          AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = affine_unclamped(affine_round(affine_steps(y[i], p)), p) - p.qmin;
    const float known = code == code ? code : 0.0f;  // NaN
    codes[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(known));
  }
}

void unpack(const std::uint8_t* __restrict codes, float* __restrict y, std::int64_t count,
            AffineParams p) {
  for (std::int64_t i = 0; i < count; ++i)
    y[i] = affine_real(static_cast<float>(static_cast<std::int32_t>(codes[i])) + p.qmin, p);
}

void backward_data(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
                   std::int64_t count, Interval passes) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float gradient = dy[i];
    dx[i] = passes_one(x[i], passes) ? gradient : 0.0f;
  }
}

AffineSums backward(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
                    std::int64_t count, AffineParams p, Interval passes) {
  SumLanes lanes;
  backward_data(x, dy, dx, count, passes);
  add_to_lanes(x, dy, count, p, lanes);
  return total(lanes, p);
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
const QuantizeKernels quantize{forward, forward_stochastic, codes,         pack,
                               unpack,  backward,           backward_data, min_max};

}  // namespace rung::kernels::RUNG_ISA
