#include "kernels/pool.h"

namespace rung::kernels::RUNG_ISA {
namespace {

using Int = std::int64_t;

// Vectors over the lanes of a channel block; the compiler maps them to what the machine has.
template <int B>
struct Lanes {
  typedef float F __attribute__((vector_size(4 * B), aligned(4), may_alias));
  typedef std::int32_t I __attribute__((vector_size(4 * B)));
  typedef std::uint16_t U __attribute__((vector_size(2 * B), aligned(2), may_alias));
  typedef double D __attribute__((vector_size(8 * B)));
};

struct Range {
  Int begin, end;
};

// How often a step fits into a distance, rounded up; without a division where nothing is dilated.
inline Int steps(Int distance, Int step) {
  if (distance <= 0) return 0;
  return step == 1 ? distance : (distance + step - 1) / step;
}

// The positions k of a window at output o whose input o * stride - padding + k * dilation lies in
// [0, size).
inline Range taps(Int o, Int stride, Int padding, Int kernel, Int dilation, Int size) {
  const Int start = o * stride - padding;
  const Int room = steps(size - start, dilation);
  return {steps(-start, dilation), room < kernel ? room : kernel};
}

// The outputs o in [0, outputs) for which position k * dilation of the window, `at`, lies in
// [0, size).
inline Range outputs_of(Int at, Int stride, Int padding, Int outputs, Int size) {
  const Int shift = padding - at;  // o * stride >= shift and o * stride < size + shift
  const Int begin = shift > 0 ? (shift + stride - 1) / stride : 0;
  const Int end = size + shift > 0 ? (size + shift + stride - 1) / stride : 0;
  return {begin, end < outputs ? end : outputs};
}

// How much of a window that starts at `first` lies in an extent.
inline Int inside(Int first, Int kernel, Int extent) {
  return extent - first < kernel ? extent - first : kernel;
}

// Windows of averages are never dilated; a constant spares their loops the question.
inline PoolGeometry dense(PoolGeometry g) {
  g.dilation_h = g.dilation_w = 1;
  return g;
}

// The number that an average divides by; `whole` is the size of the window without what sticks out
// of the padding.
inline float divisor(const PoolGeometry& g, Range ky, Range kx, Int whole) {
  return static_cast<float>(g.count_include_pad ? whole
                                                : (ky.end - ky.begin) * (kx.end - kx.begin));
}

// ---- blocked: one vector holds a pixel's channels

/// Calls visit(output pixel index, ky range, kx range, pointer offset of the window's corner, size
/// of the window inside the padding).
template <typename Visit>
inline void each_window(const PoolGeometry& g, const Visit& visit) {
  for (Int oy = 0; oy < g.oh; ++oy) {
    const Range ky = taps(oy, g.stride_h, g.padding_h, g.kernel_h, g.dilation_h, g.h);
    const Int whole_h = inside(oy * g.stride_h, g.kernel_h, g.padded_h);
    for (Int ox = 0; ox < g.ow; ++ox) {
      const Int whole = whole_h * inside(ox * g.stride_w, g.kernel_w, g.padded_w);
      const Range kx = taps(ox, g.stride_w, g.padding_w, g.kernel_w, g.dilation_w, g.w);
      visit(oy * g.ow + ox, ky, kx,
            (oy * g.stride_h - g.padding_h) * g.w + ox * g.stride_w - g.padding_w, whole);
    }
  }
}

template <int B>
void max_forward_blocked(const PoolGeometry& g, const float* x, float* y, std::uint16_t* winner) {
  using F = typename Lanes<B>::F;
  using I = typename Lanes<B>::I;
  using U = typename Lanes<B>::U;
  const Int row = g.dilation_h * g.w;
  each_window(g, [&](Int out, Range ky, Range kx, Int corner, Int) {
    F best = F{} - __builtin_inff();
    I where = I{} + static_cast<std::int32_t>(ky.begin * g.kernel_w + kx.begin);
    for (Int i = ky.begin; i < ky.end; ++i) {
      for (Int j = kx.begin; j < kx.end; ++j) {
        const F value = *reinterpret_cast<const F*>(x + (corner + i * row + j * g.dilation_w) * B);
        const I take = (value > best) | (value != value);  // NaN wins, as in PyTorch
        best = take ? value : best;
        where = take ? I{} + static_cast<std::int32_t>(i * g.kernel_w + j) : where;
      }
    }
    *reinterpret_cast<F*>(y + out * B) = best;
    *reinterpret_cast<U*>(winner + out * B) = __builtin_convertvector(where, U);
  });
}

template <int B>
void max_backward_blocked(const PoolGeometry& g, const float* dy, const std::uint16_t* winner,
                          float* dx) {
  using F = typename Lanes<B>::F;
  using I = typename Lanes<B>::I;
  using U = typename Lanes<B>::U;
  const Int row = g.dilation_h * g.w;
  each_window(g, [&](Int out, Range ky, Range kx, Int corner, Int) {
    const F gradient = *reinterpret_cast<const F*>(dy + out * B);
    const I where = __builtin_convertvector(*reinterpret_cast<const U*>(winner + out * B), I);
    for (Int i = ky.begin; i < ky.end; ++i) {
      for (Int j = kx.begin; j < kx.end; ++j) {
        F& target = *reinterpret_cast<F*>(dx + (corner + i * row + j * g.dilation_w) * B);
        const I tap = I{} + static_cast<std::int32_t>(i * g.kernel_w + j);
        target += where == tap ? gradient : F{};
      }
    }
  });
}

template <int B>
void average_forward_blocked(const PoolGeometry& g, const float* x, float* y) {
  using F = typename Lanes<B>::F;
  each_window(dense(g), [&](Int out, Range ky, Range kx, Int corner, Int whole) {
    F sum = F{};
    for (Int i = ky.begin; i < ky.end; ++i)
      for (Int j = kx.begin; j < kx.end; ++j)
        sum += *reinterpret_cast<const F*>(x + (corner + i * g.w + j) * B);
    *reinterpret_cast<F*>(y + out * B) = sum / divisor(g, ky, kx, whole);
  });
}

template <int B>
void average_backward_blocked(const PoolGeometry& g, const float* dy, float* dx) {
  using F = typename Lanes<B>::F;
  each_window(dense(g), [&](Int out, Range ky, Range kx, Int corner, Int whole) {
    const F share = *reinterpret_cast<const F*>(dy + out * B) / divisor(g, ky, kx, whole);
    for (Int i = ky.begin; i < ky.end; ++i)
      for (Int j = kx.begin; j < kx.end; ++j)
        *reinterpret_cast<F*>(dx + (corner + i * g.w + j) * B) += share;
  });
}

template <int B>
void mean_forward_blocked(Int pixels, const float* x, float* y) {
  using F = typename Lanes<B>::F;
  using D = typename Lanes<B>::D;
  D sum = D{};
  for (Int p = 0; p < pixels; ++p)
    sum += __builtin_convertvector(*reinterpret_cast<const F*>(x + p * B), D);
  *reinterpret_cast<F*>(y) = __builtin_convertvector(sum / static_cast<double>(pixels), F);
}

template <int B>
void mean_backward_blocked(Int pixels, const float* dy, float* dx) {
  using F = typename Lanes<B>::F;
  const F share = *reinterpret_cast<const F*>(dy) / static_cast<float>(pixels);
  for (Int p = 0; p < pixels; ++p) *reinterpret_cast<F*>(dx + p * B) = share;
}

// ---- plain: the inner loop runs along an output row, one position of the window at a time

/// Calls visit(ky, kx, oy, range of ox, offset): output ox reads input pixel offset + ox * stride.
template <typename Visit>
inline void each_row(const PoolGeometry& g, const Visit& visit) {
  for (Int oy = 0; oy < g.oh; ++oy) {
    const Range rows = taps(oy, g.stride_h, g.padding_h, g.kernel_h, g.dilation_h, g.h);
    for (Int ky = rows.begin; ky < rows.end; ++ky)
      for (Int kx = 0; kx < g.kernel_w; ++kx)
        visit(ky, kx, oy, outputs_of(kx * g.dilation_w, g.stride_w, g.padding_w, g.ow, g.w),
              (oy * g.stride_h - g.padding_h + ky * g.dilation_h) * g.w + kx * g.dilation_w -
                  g.padding_w);
  }
}

void max_forward_plain(const PoolGeometry& g, const float* x, float* y, std::uint16_t* winner) {
  each_window(g, [&](Int out, Range ky, Range kx, Int, Int) {
    y[out] = -__builtin_inff();
    winner[out] = static_cast<std::uint16_t>(ky.begin * g.kernel_w + kx.begin);
  });
  each_row(g, [&](Int ky, Int kx, Int oy, Range ox, Int offset) {
    const auto tap = static_cast<std::uint16_t>(ky * g.kernel_w + kx);
    float* best = y + oy * g.ow;
    std::uint16_t* where = winner + oy * g.ow;
    for (Int o = ox.begin; o < ox.end; ++o) {
      const float value = x[offset + o * g.stride_w];
      const bool take = (value > best[o]) | (value != value);
      best[o] = take ? value : best[o];
      where[o] = take ? tap : where[o];
    }
  });
}

void max_backward_plain(const PoolGeometry& g, const float* dy, const std::uint16_t* winner,
                        float* dx) {
  each_row(g, [&](Int ky, Int kx, Int oy, Range ox, Int offset) {
    const auto tap = static_cast<std::uint16_t>(ky * g.kernel_w + kx);
    for (Int o = ox.begin; o < ox.end; ++o)
      dx[offset + o * g.stride_w] += winner[oy * g.ow + o] == tap ? dy[oy * g.ow + o] : 0.0f;
  });
}

void average_forward_plain(const PoolGeometry& g, const float* x, float* y) {
  for (Int out = 0; out < g.oh * g.ow; ++out) y[out] = 0.0f;
  each_row(dense(g), [&](Int, Int, Int oy, Range ox, Int offset) {
    for (Int o = ox.begin; o < ox.end; ++o) y[oy * g.ow + o] += x[offset + o * g.stride_w];
  });
  if (g.count_include_pad && (g.oh - 1) * g.stride_h + g.kernel_h <= g.padded_h &&
      (g.ow - 1) * g.stride_w + g.kernel_w <= g.padded_w) {  // no window sticks out
    const auto count = static_cast<float>(g.kernel_h * g.kernel_w);
    for (Int out = 0; out < g.oh * g.ow; ++out) y[out] /= count;
    return;
  }
  each_window(
      g, [&](Int out, Range ky, Range kx, Int, Int whole) { y[out] /= divisor(g, ky, kx, whole); });
}

void average_backward_plain(const PoolGeometry& g, const float* dy, float* dx) {
  each_window(dense(g), [&](Int out, Range ky, Range kx, Int corner, Int whole) {
    const float share = dy[out] / divisor(g, ky, kx, whole);
    for (Int i = ky.begin; i < ky.end; ++i)
      for (Int j = kx.begin; j < kx.end; ++j) dx[corner + i * g.w + j] += share;
  });
}

void mean_forward_plain(Int pixels, const float* x, float* y) {
  double sums[8] = {};  // a fixed number, so that every instruction set adds in the same order
  Int p = 0;
  for (; p + 8 <= pixels; p += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += static_cast<double>(x[p + lane]);
  for (; p < pixels; ++p) sums[0] += static_cast<double>(x[p]);
  const double sum =
      ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  *y = static_cast<float>(sum / static_cast<double>(pixels));
}

void mean_backward_plain(Int pixels, const float* dy, float* dx) {
  const float share = *dy / static_cast<float>(pixels);
  for (Int p = 0; p < pixels; ++p) dx[p] = share;
}

void clear(float* data, Int count) {
  for (Int i = 0; i < count; ++i) data[i] = 0.0f;
}

// ---- by block size

void max_forward(const PoolGeometry& g, int block, const float* x, float* y,
                 std::uint16_t* winner) {
  if (block == 16) return max_forward_blocked<16>(g, x, y, winner);
  if (block == 8) return max_forward_blocked<8>(g, x, y, winner);
  max_forward_plain(g, x, y, winner);
}

void max_backward(const PoolGeometry& g, int block, const float* dy, const std::uint16_t* winner,
                  float* dx) {
  clear(dx, g.h * g.w * block);
  if (block == 16) return max_backward_blocked<16>(g, dy, winner, dx);
  if (block == 8) return max_backward_blocked<8>(g, dy, winner, dx);
  max_backward_plain(g, dy, winner, dx);
}

void average_forward(const PoolGeometry& g, int block, const float* x, float* y) {
  if (block == 16) return average_forward_blocked<16>(g, x, y);
  if (block == 8) return average_forward_blocked<8>(g, x, y);
  average_forward_plain(g, x, y);
}

void average_backward(const PoolGeometry& g, int block, const float* dy, float* dx) {
  clear(dx, g.h * g.w * block);
  if (block == 16) return average_backward_blocked<16>(g, dy, dx);
  if (block == 8) return average_backward_blocked<8>(g, dy, dx);
  average_backward_plain(g, dy, dx);
}

void mean_forward(Int pixels, int block, const float* x, float* y) {
  if (block == 16) return mean_forward_blocked<16>(pixels, x, y);
  if (block == 8) return mean_forward_blocked<8>(pixels, x, y);
  mean_forward_plain(pixels, x, y);
}

void mean_backward(Int pixels, int block, const float* dy, float* dx) {
  if (block == 16) return mean_backward_blocked<16>(pixels, dy, dx);
  if (block == 8) return mean_backward_blocked<8>(pixels, dy, dx);
  mean_backward_plain(pixels, dy, dx);
}

}  // namespace

const PoolKernels pool = {max_forward,      max_backward, average_forward,
                          average_backward, mean_forward, mean_backward};

}  // namespace rung::kernels::RUNG_ISA
