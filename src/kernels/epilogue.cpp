#include "kernels/epilogue.h"

#include "kernels/epilogue_inline.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

// See quantize.cpp: lets selections become vector instructions.
#pragma GCC optimize("no-trapping-math")

namespace rung::kernels::RUNG_ISA {
namespace {

constexpr int kGroup = 16;  // numbers whose bits of the mask are written at once

// GCC does not make mask instructions of such loops by itself.
[[gnu::always_inline]] inline void pack(const float* v, Interval passes, std::uint8_t* mask) {
#if defined(__AVX512F__)
  const __m512 x = _mm512_loadu_ps(v);
  const __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(passes.low), _CMP_GT_OQ);
  const __mmask16 bits =
      _mm512_mask_cmp_ps_mask(above, x, _mm512_set1_ps(passes.high), _CMP_LE_OQ);
  mask[0] = static_cast<std::uint8_t>(bits);
  mask[1] = static_cast<std::uint8_t>(bits >> 8);
#elif defined(__AVX2__)
  for (int half = 0; half < 2; ++half) {
    const __m256 x = _mm256_loadu_ps(v + 8 * half);
    const __m256 inside =
        _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(passes.low), _CMP_GT_OQ),
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

[[gnu::always_inline]] inline void unpack(const float* dy, const std::uint8_t* mask, float* dx) {
#if defined(__AVX512F__)
  const auto bits = static_cast<__mmask16>(mask[0] | mask[1] << 8);
  _mm512_storeu_ps(dx, _mm512_maskz_loadu_ps(bits, dy));
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  for (int half = 0; half < 2; ++half) {
    const __m256i bits = _mm256_and_si256(_mm256_set1_epi32(mask[half]), lane);
    const __m256 keep = _mm256_castsi256_ps(_mm256_cmpeq_epi32(bits, lane));
    _mm256_storeu_ps(dx + 8 * half, _mm256_and_ps(keep, _mm256_loadu_ps(dy + 8 * half)));
  }
#else
  for (int j = 0; j < kGroup; ++j) dx[j] = (mask[j / 8] >> j % 8 & 1) != 0 ? dy[j] : 0.0f;
#endif
}

// Writes y = epilogue(value(i)) and the mask, group by group.
template <bool kQuantizes, typename Value>
[[gnu::always_inline]] inline void write(const Value& value, float* y, std::int64_t count,
                                         const Epilogue& epilogue, Interval passes,
                                         std::uint8_t* mask) {
  const float floor = floor_of(epilogue);
  const AffineParams p = epilogue.affine;
  const std::int64_t whole = count / kGroup * kGroup;
  float v[kGroup];
  std::int64_t i = 0;
  if (mask == nullptr) {
    for (; i < whole; i += kGroup)
      for (int j = 0; j < kGroup; ++j) y[i + j] = finish_one<kQuantizes>(value(i + j), floor, p);
  } else {
    for (; i < whole; i += kGroup) {
      for (int j = 0; j < kGroup; ++j) v[j] = value(i + j);
      pack(v, passes, mask + i / 8);
      for (int j = 0; j < kGroup; ++j) y[i + j] = finish_one<kQuantizes>(v[j], floor, p);
    }
  }
  for (; i < count; ++i) {
    const float one = value(i);
    if (mask != nullptr) {
      if (i % 8 == 0) mask[i / 8] = 0;
      mask[i / 8] = static_cast<std::uint8_t>(mask[i / 8] | passes_one(one, passes) << i % 8);
    }
    y[i] = finish_one<kQuantizes>(one, floor, p);
  }
}

void finish_loop(const float* v, float* y, std::int64_t count, const Epilogue& epilogue,
                 Interval passes, std::uint8_t* mask) {
  const auto value = [v](std::int64_t i) { return v[i]; };
  if (epilogue.quantizes)
    write<true>(value, y, count, epilogue, passes, mask);
  else
    write<false>(value, y, count, epilogue, passes, mask);
}

void add_loop(const float* a, const float* b, float* y, std::int64_t count,
              const Epilogue& epilogue, Interval passes, std::uint8_t* mask) {
  const auto value = [a, b](std::int64_t i) { return a[i] + b[i]; };
  if (epilogue.quantizes)
    write<true>(value, y, count, epilogue, passes, mask);
  else
    write<false>(value, y, count, epilogue, passes, mask);
}

void masked_loop(const float* dy, const std::uint8_t* mask, float* dx, std::int64_t count) {
  const std::int64_t whole = count / kGroup * kGroup;
  for (std::int64_t i = 0; i < whole; i += kGroup) unpack(dy + i, mask + i / 8, dx + i);
  for (std::int64_t i = whole; i < count; ++i)
    dx[i] = (mask[i / 8] >> i % 8 & 1) != 0 ? dy[i] : 0.0f;
}

// Goes block by block, in loops that are simple enough for GCC to make vectors of them.
AffineSums add_backward_loop(const float* __restrict a, const float* __restrict b,
                             const float* __restrict dy, float* __restrict dx, std::int64_t count,
                             const Epilogue& epilogue, Interval passes) {
  constexpr std::int64_t kBlock = 256;
  const float floor = floor_of(epilogue);
  const AffineParams p = epilogue.affine;
  SumLanes lanes;
  float v[kBlock];
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t n = count - begin < kBlock ? count - begin : kBlock;
    for (std::int64_t j = 0; j < n; ++j) v[j] = a[begin + j] + b[begin + j];
    for (std::int64_t j = 0; j < n; ++j) {
      const float gradient = dy[begin + j];
      dx[begin + j] = passes_one(v[j], passes) ? gradient : 0.0f;
    }
    for (std::int64_t j = 0; j < n; ++j) v[j] = v[j] < floor ? floor : v[j];
    add_to_lanes(v, dy + begin, n, p, lanes);
  }
  return total(lanes, p);
}

}  // namespace

extern const EpilogueKernels epilogue;
const EpilogueKernels epilogue = {finish_loop, add_loop, masked_loop, add_backward_loop};

}  // namespace rung::kernels::RUNG_ISA
