#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "kernels/affine.h"
#include "kernels/epilogue.h"

// What the loops that write a tensor inline, once per instruction set.

namespace rung::kernels {

/// The bounds of an epilogue, in registers.
struct Bounds {
  float low, high;
};
[[gnu::always_inline]] inline Bounds bounds_of(const Epilogue& epilogue) {
  return {epilogue.low, epilogue.high};
}

/// NaN stays NaN.
[[gnu::always_inline]] inline float clip_one(float v, Bounds bounds) {
  v = v < bounds.low ? bounds.low : v;
  return v > bounds.high ? bounds.high : v;
}

/// Returns the number that is written, where there is no upper bound. NaN stays NaN.
template <bool kQuantizes>
[[gnu::always_inline]] inline float finish_above(float v, float floor, const AffineParams& p) {
  v = v < floor ? floor : v;
  if constexpr (!kQuantizes) return v;
  return affine_real(affine_clamp(affine_unclamped(affine_round(affine_steps(v, p)), p), p), p);
}

/// The same with both bounds.
template <bool kQuantizes>
[[gnu::always_inline]] inline float finish_one(float v, Bounds bounds, const AffineParams& p) {
  return finish_above<kQuantizes>(v > bounds.high ? bounds.high : v, bounds.low, p);
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
  const Bounds bounds = bounds_of(epilogue);
  const AffineParams p = epilogue.affine;
  if (mask == nullptr) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) y[i] = finish_one<kQuantizes>(value(i), bounds, p);
    return;
  }
  const std::int64_t whole = count / kMaskGroup * kMaskGroup;
  float v[kMaskGroup];
  for (std::int64_t i = 0; i < whole; i += kMaskGroup) {
    for (int j = 0; j < kMaskGroup; ++j) v[j] = value(i + j);
    pack(v, passes, mask + i / 8);
    for (int j = 0; j < kMaskGroup; ++j) y[i + j] = finish_one<kQuantizes>(v[j], bounds, p);
  }
  for (std::int64_t i = whole; i < count; ++i) {
    const float one = value(i);
    if (i % 8 == 0) mask[i / 8] = 0;
    mask[i / 8] = static_cast<std::uint8_t>(mask[i / 8] | passes_one(one, passes) << i % 8);
    y[i] = finish_one<kQuantizes>(one, bounds, p);
  }
}

/// The same, whether or not the epilogue quantizes.
template <typename Value>
[[gnu::always_inline]] inline void write_epilogue(const Value& value, float* y, std::int64_t count,
                                                  const Epilogue& epilogue, Interval passes,
                                                  std::uint8_t* mask) {
  if (epilogue.quantizes)
    write_epilogue<true>(value, y, count, epilogue, passes, mask);
  else
    write_epilogue<false>(value, y, count, epilogue, passes, mask);
}

constexpr int kSumLanes = 16;

/// Accumulators of d loss / d scale and d loss / d offset, one per lane, added up in a fixed order:
/// every instruction set computes the same sums.
struct SumLanes {
  double scale[kSumLanes] = {}, offset[kSumLanes] = {};
};

// GCC leaves conversions to double inside such loops scalar, unless the types say "vector".
#ifdef __AVX512F__
constexpr int kWide = 8;
#else
constexpr int kWide = 4;
#endif
using FloatsWide [[gnu::vector_size(kWide * 4), gnu::aligned(4), gnu::may_alias]] = float;
using DoublesWide [[gnu::vector_size(kWide * 8), gnu::aligned(8), gnu::may_alias]] = double;

[[gnu::always_inline]] inline void add_products(const float* a, const float* b, DoublesWide& sum) {
  sum += __builtin_convertvector(*reinterpret_cast<const FloatsWide*>(a), DoublesWide) *
         __builtin_convertvector(*reinterpret_cast<const FloatsWide*>(b), DoublesWide);
}
constexpr std::int64_t kSlopes = 256;

/// What up to kSlopes numbers contribute to the gradients of scale and offset, each per unit of its
/// own gradient: numbers inside the grid to that of the scale only.
struct Slopes {
  float scale[kSlopes], offset[kSlopes];
  bool any_offset;
};

/// Writes the slopes of n numbers v, before quantization, and what becomes of them unless y is
/// nullptr; y may be v.
[[gnu::always_inline]] inline void find_slopes(const float* v, std::int64_t n, const AffineParams p,
                                               Slopes& slopes, float* y) {
  std::int32_t outside = 0;
#pragma GCC ivdep
  for (std::int64_t j = 0; j < n; ++j) {
    const float steps = affine_steps(v[j], p);
    const float q = affine_unclamped(affine_round(steps), p);
    const float clamped = affine_clamp(q, p);
    const bool inside = (p.qmin <= q) & (q <= p.qmax);
    outside += inside ? 0 : 1;
    slopes.offset[j] = inside ? 0.0f : 1.0f;
    slopes.scale[j] = (clamped + p.offset) - (inside ? steps : 0.0f);
    if (y != nullptr) y[j] = affine_real(clamped, p);
  }
  slopes.any_offset = outside > 0;
}

/// Adds a * b of n numbers; number j goes to lane j % 16.
[[gnu::always_inline]] inline void add_products(const float* a, const float* b, std::int64_t n,
                                                double* lanes) {
  constexpr int kParts = kSumLanes / kWide;
  DoublesWide sums[kParts];  // in registers
#pragma GCC unroll 4
  for (int k = 0; k < kParts; ++k)
    sums[k] = *reinterpret_cast<const DoublesWide*>(lanes + k * kWide);
  const std::int64_t whole = n / kSumLanes * kSumLanes;
  for (std::int64_t j = 0; j < whole; j += kSumLanes)
#pragma GCC unroll 4
    for (int k = 0; k < kParts; ++k) add_products(a + j + k * kWide, b + j + k * kWide, sums[k]);
#pragma GCC unroll 4
  for (int k = 0; k < kParts; ++k) *reinterpret_cast<DoublesWide*>(lanes + k * kWide) = sums[k];
  for (std::int64_t j = whole; j < n; ++j)
    lanes[j - whole] += static_cast<double>(a[j]) * static_cast<double>(b[j]);
}

/// Adds gradient times slope of n numbers.
[[gnu::always_inline]] inline void add_to_lanes(const Slopes& slopes, const float* gradient,
                                                std::int64_t n, SumLanes& lanes) {
  add_products(gradient, slopes.scale, n, lanes.scale);
  if (slopes.any_offset) add_products(gradient, slopes.offset, n, lanes.offset);
}

/// The same from `count` numbers v, before quantization.
[[gnu::always_inline]] inline void add_to_lanes(const float* v, const float* gradient,
                                                std::int64_t count, const AffineParams p,
                                                SumLanes& lanes) {
  Slopes slopes;
  for (std::int64_t begin = 0; begin < count; begin += kSlopes) {
    const std::int64_t n = count - begin < kSlopes ? count - begin : kSlopes;
    find_slopes(v + begin, n, p, slopes, nullptr);
    add_to_lanes(slopes, gradient + begin, n, lanes);
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
