#include "rung/quant/fake_quantize.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "kernels/affine.h"
#include "quant/channels.h"

// Quantization of one number x, with scale s, offset o and the codes qmin .. qmax:
//
//   x / s                 how many steps is x away from zero?
//   rint(x / s)           the nearest step; exact ties go to the even one
//   rint(x / s) - o       the code, before clamping
//   clamp(.., qmin, qmax) the code
//   (code + o) * s        back to a real number: x'
//
// Three numbers decide everything; a tensor, or each of its channels or blocks, has its own s and
// o. The five lines are functions in kernels/affine.h, for these loops and for the fast kernels.

namespace rung {
namespace {

template <typename T>
Affine<T> affine(const Encoding& e, std::size_t channel) {
  return {static_cast<T>(e.scale[channel]), static_cast<T>(e.offset[channel]),
          static_cast<T>(e.grid.qmin), static_cast<T>(e.grid.qmax)};
}

/// AIMET's rule: float64 if float32's epsilon is above a tenth of a code.
bool needs_double(const Encoding& e) {
  return kMinimumScale > 0.1 / static_cast<double>(e.grid.steps());
}

/// Calls body(affine, channel, first, last) for every run of numbers that share scale and offset.
template <typename Body>
void for_each_channel(std::size_t numel, const Shape& shape, const Encoding& e, const Body& body) {
  if (static_cast<std::int64_t>(numel) != shape.numel())
    fail("a tensor {} has {} elements, got {} numbers", shape, shape.numel(), numel);
  const ChannelRuns runs(shape, e.granularity());
  for (std::int64_t run = 0; run < runs.count(); ++run) {
    const auto channel = static_cast<std::size_t>(runs.channel(run));
    const auto first = static_cast<std::size_t>(runs.start(run));
    const std::size_t last = first + static_cast<std::size_t>(runs.length());
    if (needs_double(e))
      body(affine<double>(e, channel), channel, first, last);
    else
      body(affine<float>(e, channel), channel, first, last);
  }
}

/// Rounds to a whole step: to the nearest, or up or down by chance.
template <typename T>
T round_steps(T steps, const Rounding& rounding, std::size_t index) {
  if (!rounding.stochastic) return affine_round(steps);
  return affine_round_stochastic(steps, affine_random(rounding.seed, index));
}

/// Sees any data as rows of axis 0, or as one row.
Shape rows(std::size_t numel, const Encoding& e) {
  const auto count = static_cast<std::int64_t>(numel);
  if (!e.axis) return {count};
  require(*e.axis == 0 && !e.blocks && count % e.channels() == 0,
          "give the shape: {} numbers are not rows of {} channels along axis {}", count,
          e.channels(), *e.axis);
  return {e.channels(), count / e.channels()};
}

void require_codes(const Encoding& e) {
  require(!e.pass_through() && !e.is_float(), "{} has no codes", to_string(e));
}

}  // namespace

std::vector<std::int32_t> quantize(std::span<const float> x, const Shape& shape,
                                   const Encoding& encoding) {
  require_codes(encoding);
  std::vector<std::int32_t> codes(x.size());
  for_each_channel(x.size(), shape, encoding,
                   [&](auto a, std::size_t, std::size_t i, std::size_t last) {
                     for (; i < last; ++i) {
                       require(!std::isnan(x[i]), "element {} is NaN, which has no code", i);
                       const auto code = affine_unclamped(affine_round(affine_steps(x[i], a)), a);
                       codes[i] = static_cast<std::int32_t>(affine_clamp(code, a));
                     }
                   });
  return codes;
}

std::vector<float> dequantize(std::span<const std::int32_t> codes, const Shape& shape,
                              const Encoding& encoding) {
  require_codes(encoding);
  std::vector<float> x(codes.size());
  for_each_channel(codes.size(), shape, encoding,
                   [&](auto a, std::size_t, std::size_t i, std::size_t last) {
                     using T = decltype(a.scale);
                     for (; i < last; ++i) x[i] = affine_real(static_cast<T>(codes[i]), a);
                   });
  return x;
}

void quantize_dequantize(std::span<const float> x, const Shape& shape, const Encoding& encoding,
                         std::span<float> y, const Rounding& rounding) {
  require(x.size() == y.size(), "x and y must have the same size, got {} and {}", x.size(),
          y.size());
  if (encoding.pass_through()) {
    std::copy(x.begin(), x.end(), y.begin());
    return;
  }
  if (encoding.is_float()) return float_quantize_dequantize(x, *encoding.format, y);
  for_each_channel(x.size(), shape, encoding,
                   [&](auto a, std::size_t, std::size_t i, std::size_t last) {
                     for (; i < last; ++i) {
                       const auto whole = round_steps(affine_steps(x[i], a), rounding, i);
                       y[i] = affine_real(affine_clamp(affine_unclamped(whole, a), a), a);
                     }
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
                                              std::span<float> dx, const Rounding& rounding) {
  require(x.size() == dy.size() && (dx.empty() || dx.size() == x.size()),
          "x, dy and dx must have the same size, got {}, {} and {}", x.size(), dy.size(),
          dx.size());
  EncodingGradient sums;
  sums.scale.assign(encoding.scale.size(), 0.0);
  sums.offset.assign(encoding.scale.size(), 0.0);
  sums.count = static_cast<std::int64_t>(x.size()) / std::max<std::int64_t>(1, encoding.channels());
  if (encoding.is_float()) {
    if (!dx.empty()) float_quantize_dequantize_backward(x, dy, *encoding.format, dx);
    return sums;
  }
  if (encoding.pass_through()) {
    std::copy(dy.begin(), dx.empty() ? dy.begin() : dy.end(), dx.begin());
    return sums;
  }
  for_each_channel(
      x.size(), shape, encoding, [&](auto a, std::size_t channel, std::size_t i, std::size_t last) {
        for (; i < last; ++i) {
          const auto steps = affine_steps(x[i], a);
          const auto q = affine_unclamped(affine_round(steps), a);
          const bool inside = a.qmin <= q && q <= a.qmax;
          if (!dx.empty()) dx[i] = inside ? dy[i] : 0.0f;
          const auto moved = affine_unclamped(round_steps(steps, rounding, i), a);
          const auto y_by_scale = (affine_clamp(moved, a) + a.offset) - (inside ? steps : 0);
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

Tensor quantize_dequantize(const ConstTensor& x, const Encoding& encoding) {
  Tensor y(x.shape());
  quantize_dequantize(x.data(), x.shape(), encoding, y.data());
  return y;
}

}  // namespace rung
