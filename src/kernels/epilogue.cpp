#include "kernels/epilogue.h"

#include "kernels/epilogue_inline.h"

// See quantize.cpp: lets selections become vector instructions.
#pragma GCC optimize("no-trapping-math")

namespace rung::kernels::RUNG_ISA {
namespace {

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
  for (int j = 0; j < kMaskGroup; ++j) dx[j] = (mask[j / 8] >> j % 8 & 1) != 0 ? dy[j] : 0.0f;
#endif
}

void finish_loop(const float* v, float* y, std::int64_t count, const Epilogue& epilogue,
                 Interval passes, std::uint8_t* mask) {
  const auto value = [v](std::int64_t i) { return v[i]; };
  write_epilogue(value, y, count, epilogue, passes, mask);
}

void add_loop(const float* a, const float* b, float* y, std::int64_t count,
              const Epilogue& epilogue, Interval passes, std::uint8_t* mask) {
  const auto value = [a, b](std::int64_t i) { return a[i] + b[i]; };
  write_epilogue(value, y, count, epilogue, passes, mask);
}

void masked_loop(const float* dy, const std::uint8_t* mask, float* dx, std::int64_t count) {
  const std::int64_t whole = count / kMaskGroup * kMaskGroup;
  for (std::int64_t i = 0; i < whole; i += kMaskGroup) unpack(dy + i, mask + i / 8, dx + i);
  for (std::int64_t i = whole; i < count; ++i)
    dx[i] = (mask[i / 8] >> i % 8 & 1) != 0 ? dy[i] : 0.0f;
}

// Goes block by block, in loops that are simple enough for GCC to make vectors of them.
AffineSums add_backward_loop(const float* __restrict a, const float* __restrict b,
                             const float* __restrict dy, float* __restrict dx, std::int64_t count,
                             const Epilogue& epilogue, Interval passes) {
  constexpr std::int64_t kBlock = 256;
  const Bounds bounds = bounds_of(epilogue);
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
    for (std::int64_t j = 0; j < n; ++j) v[j] = clip_one(v[j], bounds);
    add_to_lanes(v, dy + begin, n, p, lanes);
  }
  return total(lanes, p);
}

}  // namespace

extern const EpilogueKernels epilogue;
const EpilogueKernels epilogue = {finish_loop, add_loop, masked_loop, add_backward_loop};

}  // namespace rung::kernels::RUNG_ISA
