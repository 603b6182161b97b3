#pragma once

#include <cstdint>

// The one definition of rounding and clamping; fake_quantize.cpp explains it. The specification and
// the vectorized kernels include it, the latter once per instruction set: so everything here is
// inlined, and no function of a library is called, of which the linker would keep one copy.

namespace rung {

/// One channel's scale, offset and codes. T is float, or double for grids that float32 cannot count
/// (20 bits on).
template <typename T>
struct Affine {
  T scale = 1, offset = 0, qmin = 0, qmax = 255;
};

/// Returns how many steps x is away from zero. Division, never multiplication by 1 / scale: that
/// would move ties and whole codes.
template <typename T>
[[gnu::always_inline]] inline T affine_steps(float x, const Affine<T>& a) {
  return static_cast<T>(x) / a.scale;
}

/// Rounds half to even, in the default rounding mode (std::nearbyint, torch.round).
[[gnu::always_inline]] inline double affine_round(double steps) {
  return __builtin_nearbyint(steps);
}
[[gnu::always_inline]] inline float affine_round(float steps) {
#ifdef __SSE4_1__
  return __builtin_nearbyintf(steps);
#else
  // SSE2 has no rounding instruction: adding 2^23 leaves no room for a fraction. Larger numbers
  // have none, NaN fails the comparison and stays.
  const float magnitude = __builtin_fabsf(steps);
  const float rounded = __builtin_copysignf((magnitude + 8388608.0f) - 8388608.0f, steps);
  return magnitude < 8388608.0f ? rounded : steps;
#endif
}

/// Returns the random number in [0, 1) of element `index`: 24 bits of a hash (MurmurHash3's
/// finalizer), so that a draw depends on nothing but seed and index.
[[gnu::always_inline]] inline float affine_random(std::uint64_t seed, std::uint64_t index) {
  auto h = static_cast<std::uint32_t>(index) * 0x9e3779b9u + static_cast<std::uint32_t>(seed);
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= (h >> 13) ^ static_cast<std::uint32_t>(seed >> 32) ^ static_cast<std::uint32_t>(index >> 32);
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  return static_cast<float>(static_cast<std::int32_t>(h >> 8)) * 0x1p-24f;
}

/// Rounds down or up, up with the probability of the fraction: right on average. Whole steps stay.
template <typename T>
[[gnu::always_inline]] inline T affine_round_stochastic(T steps, float random) {
  const T nearest = affine_round(steps);
  const T down = nearest > steps ? nearest - 1 : nearest;
  return static_cast<T>(random) < steps - down ? down + 1 : down;
}

/// Returns the code that a number of whole steps means, before clamping.
template <typename T>
[[gnu::always_inline]] inline T affine_unclamped(T rounded, const Affine<T>& a) {
  return rounded - a.offset;
}

/// NaN fails both comparisons and stays NaN.
template <typename T>
[[gnu::always_inline]] inline T affine_clamp(T code, const Affine<T>& a) {
  code = a.qmin > code ? a.qmin : code;
  return a.qmax < code ? a.qmax : code;
}

/// Returns the real number of a code.
template <typename T>
[[gnu::always_inline]] inline float affine_real(T code, const Affine<T>& a) {
  return static_cast<float>((code + a.offset) * a.scale);
}

}  // namespace rung
