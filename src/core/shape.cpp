#include "rung/core/shape.h"

#include <algorithm>
#include <ostream>

#include "core/check.h"
#include "core/join.h"

fmt::format_context::iterator fmt::formatter<rung::Shape>::format(
    const rung::Shape& shape, fmt::format_context& context) const {
  return std::ranges::copy(shape.to_string(), context.out()).out;
}

namespace rung {

Shape::Shape(std::initializer_list<std::int64_t> dims) : Shape(std::vector<std::int64_t>(dims)) {}

Shape::Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {
  for (const std::int64_t extent : dims_) {
    require(extent >= 0, "Shape: extents must not be negative, got {}", to_string());
    require(!__builtin_mul_overflow(numel_, extent, &numel_), "Shape: {} has too many elements",
            to_string());
  }
}

std::int64_t Shape::operator[](std::int64_t axis) const {
  const std::int64_t index = axis < 0 ? axis + rank() : axis;
  require(index >= 0 && index < rank(), "Shape: axis {} is outside of {}", axis, to_string());
  return dims_[static_cast<std::size_t>(index)];
}

Shape Shape::with(std::int64_t axis, std::int64_t extent) const {
  const std::int64_t index = axis < 0 ? axis + rank() : axis;
  require(index >= 0 && index < rank(), "Shape: axis {} is outside of {}", axis, to_string());
  std::vector<std::int64_t> dims = dims_;
  dims[static_cast<std::size_t>(index)] = extent;
  return Shape(std::move(dims));
}

std::string Shape::to_string() const { return fmt::format("[{}]", join(dims_)); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.to_string(); }

}  // namespace rung
