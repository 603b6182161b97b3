#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "kernels/affine.h"
#include "kernels/epilogue.h"

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

constexpr int kMaskGroup = 16;  // numbers whose bits of a mask are written at once

// GCC does not make mask instructions of such loops by itself.
[[gnu::always_inline]] inline void pack(const float* v, Interval passes, std::uint8_t* mask) {
#if defined(__AVX512F__)
  const __m512 x = _mm512_loadu_ps(v);
  const __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(passes.low), _CMP_GT_OQ);
  const __mmask16 bits = _mm512_mask_cmp_ps_mask(above, x, _mm512_set1_ps(passes.high), _CMP_LE_OQ);
  mask[0] = static_cast<std::uint8_t>(bits);
  mask[1] = static_cast<std::uint8_t>(bits >> 8);
#elif defined(__AVX2__)
  for (int half = 0; half < 2; ++half) {
    const __m256 x = _mm256_loadu_ps(v + 8 * half);
    const __m256 inside = _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(passes.low), _CMP_GT_OQ),
                                        _mm256_cmp_ps(x, _mm256_set1_ps(passes.high), _CMP_LE_OQ));
    mask[half] = static_cast<std::uint8_t>(_mm256_movemask_ps(inside));
  }
#else
  for (int half = 0; half < 2; ++half) {
    unsigned bits = 0;
    for (unsigned j = 0; j < 8; ++j)
      bits |= static_cast<unsigned>(passes_one(v[8 * half + static_cast<int>(j)], passes)) << j;
    mask[half] = static_cast<std::uint8_t>(bits);
  }
#endif
}

/// Writes y[i] = epilogue(value(i)), which reads no other y, and the mask unless it is nullptr.
template <bool kQuantizes, typename Value>
[[gnu::always_inline]] inline void write_epilogue(const Value& value, float* y, std::int64_t count,
                                                  const Epilogue& epilogue, Interval passes,
                                                  std::uint8_t* mask) {
  const float floor = floor_of(epilogue);
  const AffineParams p = epilogue.affine;
  if (mask == nullptr) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) y[i] = finish_one<kQuantizes>(value(i), floor, p);
    return;
  }
  const std::int64_t whole = count / kMaskGroup * kMaskGroup;
  float v[kMaskGroup];
  for (std::int64_t i = 0; i < whole; i += kMaskGroup) {
    for (int j = 0; j < kMaskGroup; ++j) v[j] = value(i + j);
    pack(v, passes, mask + i / 8);
    for (int j = 0; j < kMaskGroup; ++j) y[i + j] = finish_one<kQuantizes>(v[j], floor, p);
  }
  for (std::int64_t i = whole; i < count; ++i) {
    const float one = value(i);
    if (i % 8 == 0) mask[i / 8] = 0;
    mask[i / 8] = static_cast<std::uint8_t>(mask[i / 8] | passes_one(one, passes) << i % 8);
    y[i] = finish_one<kQuantizes>(one, floor, p);
  }
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
                                                const AffineParams p, SumLanes& lanes) {
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
