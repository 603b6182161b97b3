#include "rung/quant/fake_quantize.h"

#include <algorithm>
#include <cmath>

#include "core/format.h"
#include "quant/channels.h"

// Quantization of one number x, with scale s, offset o and the codes qmin .. qmax:
//
//   x / s                 how many steps is x away from zero?
//   rint(x / s)           the nearest step; exact ties go to the even one
//   rint(x / s) - o       the code, before clamping
//   clamp(.., qmin, qmax) the code
//   (code + o) * s        back to a real number: x'
//
// Three numbers decide everything; a tensor or each of its channels has its own s and o.

namespace rung {
namespace {

/// One channel's numbers. T is float, or double for grids that float32 cannot count (20 bits on).
template <typename T>
struct Affine {
  T scale, offset, qmin, qmax;

  /// Division, never multiplication by 1 / scale: that would move ties and whole codes.
  T steps(float x) const { return static_cast<T>(x) / scale; }
  T unclamped(T steps) const { return std::nearbyint(steps) - offset; }
  /// NaN fails both comparisons and stays NaN.
  T clamp(T q) const { return qmin > q ? qmin : (qmax < q ? qmax : q); }
  T code(float x) const { return clamp(unclamped(steps(x))); }
  float real(T code) const { return static_cast<float>((code + offset) * scale); }
};

template <typename T>
Affine<T> affine(const Encoding& e, std::size_t channel) {
  return {static_cast<T>(e.scale[channel]), static_cast<T>(e.offset[channel]),
          static_cast<T>(e.grid.qmin), static_cast<T>(e.grid.qmax)};
}

/// AIMET's rule: float64 if float32's epsilon is above a tenth of a code.
bool needs_double(const Encoding& e) {
  return kMinimumScale > 0.1 / static_cast<double>(e.grid.steps());
}

ChannelRuns runs_of(std::size_t numel, const Shape& shape, const Encoding& e) {
  if (static_cast<std::int64_t>(numel) != shape.numel())
    fail("a tensor {} has {} elements, got {} numbers", shape.to_string(), shape.numel(), numel);
  return channel_runs(shape, e.axis, e.channels());
}

/// Calls body(affine, first, last) for every run of numbers that share scale and offset.
template <typename Body>
void for_each_channel(const ChannelRuns& runs, const Encoding& e, const Body& body) {
  for (std::int64_t o = 0; o < runs.outer; ++o) {
    for (std::int64_t c = 0; c < runs.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      const auto first = static_cast<std::size_t>(runs.start(o, c));
      const std::size_t last = first + static_cast<std::size_t>(runs.inner);
      if (needs_double(e))
        body(affine<double>(e, channel), channel, first, last);
      else
        body(affine<float>(e, channel), channel, first, last);
    }
  }
}

/// Sees any data as rows of axis 0, or as one row.
Shape rows(std::size_t numel, const Encoding& e) {
  const auto count = static_cast<std::int64_t>(numel);
  if (!e.axis) return {count};
  require(*e.axis == 0 && count % e.channels() == 0,
          "give the shape: {} numbers are not rows of {} channels along axis {}", count,
          e.channels(), *e.axis);
  return {e.channels(), count / e.channels()};
}

}  // namespace

std::vector<std::int32_t> quantize(std::span<const float> x, const Shape& shape,
                                   const Encoding& encoding) {
  require(!encoding.pass_through(), "a pass-through encoding has no codes");
  std::vector<std::int32_t> codes(x.size());
  for_each_channel(runs_of(x.size(), shape, encoding), encoding,
                   [&](auto a, std::size_t, std::size_t i, std::size_t last) {
                     for (; i < last; ++i) {
                       require(!std::isnan(x[i]), "element {} is NaN, which has no code", i);
                       codes[i] = static_cast<std::int32_t>(a.code(x[i]));
                     }
                   });
  return codes;
}

std::vector<float> dequantize(std::span<const std::int32_t> codes, const Shape& shape,
                              const Encoding& encoding) {
  require(!encoding.pass_through(), "a pass-through encoding has no codes");
  std::vector<float> x(codes.size());
  for_each_channel(runs_of(codes.size(), shape, encoding), encoding,
                   [&](auto a, std::size_t, std::size_t i, std::size_t last) {
                     for (; i < last; ++i) x[i] = a.real(codes[i]);
                   });
  return x;
}

void quantize_dequantize(std::span<const float> x, const Shape& shape, const Encoding& encoding,
                         std::span<float> y) {
  require(x.size() == y.size(), "x and y must have the same size, got {} and {}", x.size(),
          y.size());
  if (encoding.pass_through()) {
    std::copy(x.begin(), x.end(), y.begin());
    return;
  }
  for_each_channel(runs_of(x.size(), shape, encoding), encoding,
                   [&](auto a, std::size_t, std::size_t i, std::size_t last) {
                     for (; i < last; ++i) y[i] = a.real(a.code(x[i]));
                   });
}

// The gradient. rint is flat almost everywhere, so its true gradient is 0 and nothing would learn.
// The straight-through estimator (Bengio et al. 2013) takes it as 1 instead:
//
//   d y / d x      = 1                 where the code before clamping is on the grid, else 0
//   d y / d scale  = (code + o) - x/s  inside (how much x was moved, in steps), code + o outside
//   d y / d offset = 0 inside (x' does not move with o), s outside (the grid's ends move with o)
EncodingGradient quantize_dequantize_backward(std::span<const float> x, std::span<const float> dy,
                                              const Shape& shape, const Encoding& encoding,
                                              std::span<float> dx) {
  require(x.size() == dy.size() && (dx.empty() || dx.size() == x.size()),
          "x, dy and dx must have the same size, got {}, {} and {}", x.size(), dy.size(),
          dx.size());
  EncodingGradient sums;
  sums.scale.assign(encoding.scale.size(), 0.0);
  sums.offset.assign(encoding.scale.size(), 0.0);
  if (encoding.pass_through()) {
    std::copy(dy.begin(), dx.empty() ? dy.begin() : dy.end(), dx.begin());
    return sums;
  }
  for_each_channel(runs_of(x.size(), shape, encoding), encoding,
                   [&](auto a, std::size_t channel, std::size_t i, std::size_t last) {
                     for (; i < last; ++i) {
                       const auto steps = a.steps(x[i]);
                       const auto q = a.unclamped(steps);
                       const bool inside = a.qmin <= q && q <= a.qmax;
                       if (!dx.empty()) dx[i] = inside ? dy[i] : 0.0f;
                       const auto y_by_scale = (a.clamp(q) + a.offset) - (inside ? steps : 0);
                       sums.scale[channel] += double{dy[i]} * double{y_by_scale};
                       if (!inside) sums.offset[channel] += double{dy[i]} * double{a.scale};
                     }
                   });
  return sums;
}

// scale = (max - min) / N, and for asymmetric grids offset = rint(min / scale) - qmin.
void range_gradient(const EncodingGradient& gradient, const Encoding& encoding,
                    std::span<const float> min, std::span<float> dmin, std::span<float> dmax) {
  const auto steps = static_cast<double>(encoding.grid.steps());
  for (std::size_t c = 0; c < encoding.scale.size(); ++c) {
    const double scale = encoding.scale[c];
    double dscale = gradient.scale[c], dmin_direct = 0.0;
    if (encoding.symmetry == Symmetry::asymmetric) {
      dmin_direct = gradient.offset[c] / scale;
      dscale -= gradient.offset[c] * double{min[c]} / (scale * scale);
    }
    const bool fixed = encoding.symmetry == Symmetry::unsigned_symmetric;
    if (!dmin.empty()) dmin[c] = fixed ? 0.0f : static_cast<float>(dmin_direct - dscale / steps);
    if (!dmax.empty()) dmax[c] = static_cast<float>(dscale / steps);
  }
}

std::vector<std::int32_t> quantize(std::span<const float> x, const Encoding& encoding) {
  return quantize(x, rows(x.size(), encoding), encoding);
}

std::vector<float> dequantize(std::span<const std::int32_t> codes, const Encoding& encoding) {
  return dequantize(codes, rows(codes.size(), encoding), encoding);
}

Tensor quantize_dequantize(const Tensor& x, const Encoding& encoding) {
  Tensor y(x.shape());
  quantize_dequantize(x.data(), x.shape(), encoding, y.data());
  return y;
}

}  // namespace rung
