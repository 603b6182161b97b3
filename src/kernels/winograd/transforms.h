#pragma once

#include "kernels/vector.h"
#include "kernels/winograd/kernels.h"

// The matrices of F(4x4, 3x3), Lavin and Gray 2015 (arXiv:1509.09308), as sums: each function is
// applied to the columns of a tile and then to its rows.

namespace rung::kernels::RUNG_ISA {

/// v = B^T d
template <int L>
[[gnu::always_inline]] inline void input_transform(const Vector<L>* d, Vector<L>* v) {
  const Vector<L> even = fma(d[2], -4.0f, d[4]), odd = fma(d[1], -4.0f, d[3]);
  const Vector<L> a = d[4] - d[2], b = d[3] - d[1];
  v[0] = fma(d[0], 4.0f, fma(d[2], -5.0f, d[4]));
  v[1] = even + odd;
  v[2] = even - odd;
  v[3] = fma(b, 2.0f, a);
  v[4] = fma(b, -2.0f, a);
  v[5] = fma(d[1], 4.0f, fma(d[3], -5.0f, d[5]));
}

/// y = A^T m
template <int L>
[[gnu::always_inline]] inline void output_transform(const Vector<L>* m, Vector<L>* y) {
  const Vector<L> a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  y[0] = m[0] + a + c;
  y[1] = fma(d, 2.0f, b);
  y[2] = fma(c, 4.0f, a);
  y[3] = fma(d, 8.0f, b) + m[5];
}

/// m = A y
template <int L>
[[gnu::always_inline]] inline void output_gradient_transform(const Vector<L>* y, Vector<L>* m) {
  const Vector<L> a = y[0] + y[2], b = y[1] + y[3];
  const Vector<L> c = fma(y[2], 4.0f, y[0]), d = fma(y[3], 8.0f, y[1] + y[1]);
  m[0] = y[0];
  m[1] = a + b;
  m[2] = a - b;
  m[3] = c + d;
  m[4] = c - d;
  m[5] = y[3];
}

/// u = G g
template <int L>
[[gnu::always_inline]] inline void weights_transform(const Vector<L>* g, Vector<L>* u) {
  const Vector<L> sixth(1.0f / 6), a = (g[0] + g[2]) * sixth, b = g[1] * sixth;
  const Vector<L> c = fma(g[0], 1.0f / 24, g[2] * sixth), d = g[1] * Vector<L>(1.0f / 12);
  u[0] = g[0] * Vector<L>(0.25f);
  u[1] = Vector<L>(0.0f) - a - b;
  u[2] = b - a;
  u[3] = c + d;
  u[4] = c - d;
  u[5] = g[2];
}

/// g = G^T u
template <int L>
[[gnu::always_inline]] inline void weights_gradient_transform(const Vector<L>* u, Vector<L>* g) {
  const Vector<L> sixth(1.0f / 6), a = u[1] + u[2], b = u[2] - u[1];
  const Vector<L> c = u[3] + u[4], d = u[3] - u[4];
  g[0] = fma(u[0], 0.25f, fma(c, 1.0f / 24, Vector<L>(0.0f) - a * sixth));
  g[1] = fma(d, 1.0f / 12, b * sixth);
  g[2] = fma(c - a, 1.0f / 6, u[5]);
}

/// Applies a transform of kIn to kOut vectors to the columns and then to the rows of `from`
/// [kIn, kIn]; writes [kOut, kOut].
template <int kIn, int kOut, int L, typename Transform>
[[gnu::always_inline]] inline void both_ways(const Vector<L>* from, Vector<L>* to,
                                             const Transform& transform) {
  Vector<L> columns[kOut * kIn];
#pragma GCC unroll 6
  for (int x = 0; x < kIn; ++x) {
    Vector<L> in[kIn], out[kOut];
#pragma GCC unroll 6
    for (int y = 0; y < kIn; ++y) in[y] = from[y * kIn + x];
    transform(in, out);
#pragma GCC unroll 6
    for (int y = 0; y < kOut; ++y) columns[y * kIn + x] = out[y];
  }
#pragma GCC unroll 6
  for (int y = 0; y < kOut; ++y) transform(columns + y * kIn, to + y * kOut);
}

}  // namespace rung::kernels::RUNG_ISA
