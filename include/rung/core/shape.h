#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "rung/core/export.h"

namespace rung {

/// Holds the extents of a tensor, outermost first: images are [N, C, H, W], convolution weights
/// [O, I / groups, KH, KW], linear weights [O, I]. A scalar has rank 0.
class RUNG_API Shape {
 public:
  Shape() = default;
  /// Throws Error if an extent is negative or the number of elements overflows int64.
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::vector<std::int64_t> dims);

  std::int64_t rank() const { return static_cast<std::int64_t>(dims_.size()); }
  /// Returns the extent of `axis`; a negative axis counts from the end. Throws Error outside.
  std::int64_t operator[](std::int64_t axis) const;
  /// Returns the number of elements: the product of the extents, 1 for a scalar.
  std::int64_t numel() const { return numel_; }
  std::span<const std::int64_t> dims() const { return dims_; }
  /// Returns a copy whose extent of `axis` is `extent`.
  Shape with(std::int64_t axis, std::int64_t extent) const;
  std::string to_string() const;  ///< e.g. "[128, 3, 32, 32]"

  friend bool operator==(const Shape& a, const Shape& b) { return a.dims_ == b.dims_; }

 private:
  std::vector<std::int64_t> dims_;
  std::int64_t numel_ = 1;
};

RUNG_API std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace rung
