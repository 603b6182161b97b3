#pragma once

#include "kernels/epilogue.h"
#include "kernels/affine.h"

// What the loops that write a tensor inline, once per instruction set.

namespace rung::kernels {

/// Returns the number that is written. NaN stays NaN.
template <bool kQuantizes>
[[gnu::always_inline]] inline float finish_one(float v, float floor, const AffineParams& p) {
  v = v < floor ? floor : v;
  if constexpr (!kQuantizes) return v;
  return affine_real(affine_clamp(affine_unclamped(affine_round(affine_steps(v, p)), p), p), p);
}

[[gnu::always_inline]] inline float floor_of(const Epilogue& epilogue) {
  return epilogue.relu ? 0.0f : -__builtin_inff();
}

[[gnu::always_inline]] inline bool passes_one(float v, Interval passes) {
  return (v > passes.low) & (v <= passes.high);
}

constexpr int kSumLanes = 16;

/// Accumulators of d loss / d scale and d loss / d offset, one per lane, added up in a fixed order:
/// every instruction set computes the same sums.
struct SumLanes {
  double scale[kSumLanes] = {}, offset[kSumLanes] = {};
};

// GCC leaves conversions to double inside such loops scalar, unless the types say "vector".
using Floats4 [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
using Doubles4 [[gnu::vector_size(32), gnu::aligned(8), gnu::may_alias]] = double;

[[gnu::always_inline]] inline void add_products(const float* a, const float* b, Doubles4& sum) {
  sum += __builtin_convertvector(*reinterpret_cast<const Floats4*>(a), Doubles4) *
         __builtin_convertvector(*reinterpret_cast<const Floats4*>(b), Doubles4);
}
[[gnu::always_inline]] inline void add_floats(const float* a, Doubles4& sum) {
  sum += __builtin_convertvector(*reinterpret_cast<const Floats4*>(a), Doubles4);
}

/// Adds what `count` numbers v, before quantization, contribute; number i goes to lane i % 16.
[[gnu::always_inline]] inline void add_to_lanes(const float* __restrict v,
                                                const float* __restrict dy, std::int64_t count,
                                                const AffineParams& p, SumLanes& lanes) {
  constexpr std::int64_t kBlock = 256;
  float slope[kBlock], outside[kBlock];  // per unit of scale and offset
  auto* scale = reinterpret_cast<Doubles4*>(lanes.scale);
  auto* offset = reinterpret_cast<Doubles4*>(lanes.offset);
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t n = count - begin < kBlock ? count - begin : kBlock;
    for (std::int64_t j = 0; j < n; ++j) {
      const float steps = affine_steps(v[begin + j], p), gradient = dy[begin + j];
      const float q = affine_unclamped(affine_round(steps), p);
      const bool inside = (p.qmin <= q) & (q <= p.qmax);
      outside[j] = inside ? 0.0f : gradient;
      slope[j] = (affine_clamp(q, p) + p.offset) - (inside ? steps : 0.0f);
    }
    const std::int64_t whole = n / kSumLanes * kSumLanes;
    Doubles4 s0 = scale[0], s1 = scale[1], s2 = scale[2], s3 = scale[3];  // in registers
    Doubles4 o0 = offset[0], o1 = offset[1], o2 = offset[2], o3 = offset[3];
    for (std::int64_t j = 0; j < whole; j += kSumLanes) {
      const float* g = dy + begin + j;
      add_products(g, slope + j, s0);
      add_products(g + 4, slope + j + 4, s1);
      add_products(g + 8, slope + j + 8, s2);
      add_products(g + 12, slope + j + 12, s3);
      add_floats(outside + j, o0);
      add_floats(outside + j + 4, o1);
      add_floats(outside + j + 8, o2);
      add_floats(outside + j + 12, o3);
    }
    scale[0] = s0, scale[1] = s1, scale[2] = s2, scale[3] = s3;
    offset[0] = o0, offset[1] = o1, offset[2] = o2, offset[3] = o3;
    for (std::int64_t j = whole; j < n; ++j) {
      lanes.scale[j - whole] += static_cast<double>(dy[begin + j]) * static_cast<double>(slope[j]);
      lanes.offset[j - whole] += static_cast<double>(outside[j]);
    }
  }
}

[[gnu::always_inline]] inline AffineSums total(const SumLanes& lanes, const AffineParams& p) {
  AffineSums sums;
  for (int j = 0; j < kSumLanes; ++j) {
    sums.scale += lanes.scale[j];
    sums.offset += lanes.offset[j];
  }
  sums.offset *= static_cast<double>(p.scale);
  return sums;
}

}  // namespace rung::kernels
