#pragma once

#include <cstdint>

#ifdef __AVX2__
#include <immintrin.h>
#endif

// Floats side by side, as many as a blocked format has channels in a block, in the widest registers
// of the instruction set that includes this file.

namespace rung::kernels::RUNG_ISA {

/// One register: what is specific to an instruction set.
struct Register4 {
  using Type [[gnu::vector_size(16)]] = float;
  using Unaligned [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
  static constexpr int kWidth = 4;
  static void load(Type& r, const float* p) { r = *reinterpret_cast<const Unaligned*>(p); }
  static void store(const Type& r, float* p) { *reinterpret_cast<Unaligned*>(p) = r; }
  static void set(Type& r, float x) { r = Type{x, x, x, x}; }
  static void fma(Type& r, const Type& a, const Type& b) { r += a * b; }
  static void max(Type& r, const Type& a) { r = r < a ? a : r; }
};
#ifdef __AVX2__
struct Register8 {
  using Type = __m256;
  static constexpr int kWidth = 8;
  static void load(Type& r, const float* p) { r = _mm256_loadu_ps(p); }
  static void store(const Type& r, float* p) { _mm256_storeu_ps(p, r); }
  static void set(Type& r, float x) { r = _mm256_set1_ps(x); }
  static void fma(Type& r, const Type& a, const Type& b) { r = _mm256_fmadd_ps(a, b, r); }
  static void max(Type& r, const Type& a) { r = _mm256_max_ps(a, r); }
};
#endif
#ifdef __AVX512F__
struct Register16 {
  using Type = __m512;
  static constexpr int kWidth = 16;
  static void load(Type& r, const float* p) { r = _mm512_loadu_ps(p); }
  static void store(const Type& r, float* p) { _mm512_storeu_ps(p, r); }
  static void set(Type& r, float x) { r = _mm512_set1_ps(x); }
  static void fma(Type& r, const Type& a, const Type& b) { r = _mm512_fmadd_ps(a, b, r); }
  static void max(Type& r, const Type& a) { r = _mm512_max_ps(a, r); }
};
#endif

/// The widest register for vectors of 8 or 16 floats.
template <int kLanes>
struct RegisterFor {
#if defined(__AVX2__)
  using Type = Register8;
#else
  using Type = Register4;
#endif
};
#ifdef __AVX512F__
template <>
struct RegisterFor<16> {
  using Type = Register16;
};
#endif

/// kLanes floats. Loops over registers are unrolled, so that none is ever in memory.
template <int kLanes>
struct Vector {
  using Register = typename RegisterFor<kLanes>::Type;
  static constexpr int kCount = kLanes / Register::kWidth;
  typename Register::Type r[kCount];

  Vector() = default;
  [[gnu::always_inline]] explicit Vector(const float* p) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) Register::load(r[i], p + i * Register::kWidth);
  }
  /// The same number in all lanes.
  [[gnu::always_inline]] explicit Vector(float x) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) Register::set(r[i], x);
  }
  [[gnu::always_inline]] void store(float* p) const {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) Register::store(r[i], p + i * Register::kWidth);
  }
  /// Adds a * b, rounded once where the machine can.
  [[gnu::always_inline]] void fma(const Vector& a, const Vector& b) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) Register::fma(r[i], a.r[i], b.r[i]);
  }
  /// NaN stays.
  [[gnu::always_inline]] void max(const Vector& a) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) Register::max(r[i], a.r[i]);
  }
  [[gnu::always_inline]] Vector& operator+=(const Vector& a) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) r[i] += a.r[i];
    return *this;
  }
  [[gnu::always_inline]] Vector& operator-=(const Vector& a) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) r[i] -= a.r[i];
    return *this;
  }
  [[gnu::always_inline]] Vector& operator*=(const Vector& a) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) r[i] *= a.r[i];
    return *this;
  }
};

template <int kLanes>
[[gnu::always_inline]] inline Vector<kLanes> operator+(Vector<kLanes> a, const Vector<kLanes>& b) {
  return a += b;
}
template <int kLanes>
[[gnu::always_inline]] inline Vector<kLanes> operator-(Vector<kLanes> a, const Vector<kLanes>& b) {
  return a -= b;
}
template <int kLanes>
[[gnu::always_inline]] inline Vector<kLanes> operator*(Vector<kLanes> a, const Vector<kLanes>& b) {
  return a *= b;
}
/// a * x + b, rounded once where the machine can.
template <int kLanes>
[[gnu::always_inline]] inline Vector<kLanes> fma(const Vector<kLanes>& a, float x,
                                                 Vector<kLanes> b) {
  b.fma(a, Vector<kLanes>(x));
  return b;
}

}  // namespace rung::kernels::RUNG_ISA
