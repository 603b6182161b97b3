#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ops/common.h"
#include "rung/core/parallel.h"

// Loops over two operands that are repeated to a common shape, as NumPy and ONNX do.

namespace rung {

/// Returns the shape that both are repeated to; throws Error if there is none.
Shape broadcast_shape(const Shape& a, const Shape& b);

/// How the elements of y = f(a, b) lie in a and b. Axes that lie alike in all three are joined.
class Broadcast {
 public:
  Broadcast(const Shape& a, const Shape& b);

  /// Writes y[i] = f(a, b) for every element of the common shape.
  template <typename Function>
  void map(const float* a, const float* b, float* y, const Function& f) const {
    const Axis inner = axes_.back();
    const std::int64_t rows = count_ / std::max<std::int64_t>(1, inner.extent);
    parallel_for(rows, grain(inner.extent), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const Place at = place(row, axes_.data(), axes_.size() - 1);
        line(inner.extent, inner.a, inner.b, a + at.a, b + at.b, y + row * inner.extent, f);
      }
    });
  }

  /// Writes into each element of operand `Side` (0: a, 1: b) the sum of f(dy, a, b) over the
  /// elements of y that it was repeated to. Sums are in double and in order.
  template <std::size_t Side, typename Function>
  void reduce(const float* dy, const float* a, const float* b, float* sums,
              const Function& f) const {
    std::vector<Axis> kept, repeated;
    std::int64_t kept_count = 1, repeated_count = 1;
    for (const Axis& axis : axes_) {
      const bool keeps = (Side == 0 ? axis.a : axis.b) != 0 || axis.extent == 1;
      (keeps ? kept : repeated).push_back(axis);
      (keeps ? kept_count : repeated_count) *= axis.extent;
    }
    if (repeated.empty()) return each(dy, a, b, sums, f);
    const Axis inner = repeated.back();
    const std::int64_t rows = repeated_count / std::max<std::int64_t>(1, inner.extent);
    parallel_for(kept_count, grain(repeated_count), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Place first = place(i, kept.data(), kept.size());
        double sum = 0.0;
        for (std::int64_t row = 0; row < rows; ++row) {
          Place at = place(row, repeated.data(), repeated.size() - 1);
          at = {at.a + first.a, at.b + first.b, at.y + first.y};
          for (std::int64_t j = 0; j < inner.extent; ++j)
            sum += static_cast<double>(
                f(dy[at.y + j * inner.y], a[at.a + j * inner.a], b[at.b + j * inner.b]));
        }
        sums[i] = static_cast<float>(sum);
      }
    });
  }

 private:
  struct Axis {
    std::int64_t extent, a, b, y;  // strides in floats; 0 where an operand is repeated
  };
  struct Place {
    std::int64_t a = 0, b = 0, y = 0;
  };

  static std::int64_t grain(std::int64_t run) {
    return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, run));
  }

  // As reduce(), for an operand that is not repeated.
  template <typename Function>
  void each(const float* dy, const float* a, const float* b, float* dx, const Function& f) const {
    const Axis inner = axes_.back();
    const std::int64_t rows = count_ / std::max<std::int64_t>(1, inner.extent);
    parallel_for(rows, grain(inner.extent), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const Place at = place(row, axes_.data(), axes_.size() - 1);
        const std::int64_t first = row * inner.extent;
        for (std::int64_t j = 0; j < inner.extent; ++j)
          dx[first + j] =
              static_cast<float>(f(dy[first + j], a[at.a + j * inner.a], b[at.b + j * inner.b]));
      }
    });
  }

  // Returns where the element with this row-major number among `axes` lies.
  static Place place(std::int64_t index, const Axis* axes, std::size_t count) {
    Place at;
    for (std::size_t k = count; k-- > 0;) {
      const std::int64_t i = index % axes[k].extent;
      index /= axes[k].extent;
      at.a += i * axes[k].a;
      at.b += i * axes[k].b;
      at.y += i * axes[k].y;
    }
    return at;
  }

  // One run of y; the usual strides are constants, so that the compiler makes vectors.
  template <typename Function>
  static void line(std::int64_t count, std::int64_t step_a, std::int64_t step_b, const float* a,
                   const float* b, float* y, const Function& f) {
    if (step_a == 1 && step_b == 1)
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], b[i]);
    else if (step_a == 1 && step_b == 0)
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], *b);
    else if (step_a == 0 && step_b == 1)
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(*a, b[i]);
    else
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i * step_a], b[i * step_b]);
  }

  std::vector<Axis> axes_;  // at least one; outermost first
  std::int64_t count_ = 1;
};

/// Returns the loops over two operands in the memory of a plan; of equal shape and format, they may
/// be blocked.
inline Broadcast broadcast_of(const View& a, const View& b) {
  if (*a.shape == *b.shape) return {Shape{a.count}, Shape{b.count}};
  return {*a.shape, *b.shape};
}

}  // namespace rung
