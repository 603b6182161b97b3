#include "ops/elementwise/broadcast.h"

namespace rung {
namespace {

/// Returns the extent of `axis` of a shape that is aligned at the end of `rank` axes.
std::int64_t aligned(const Shape& shape, std::int64_t axis, std::int64_t rank) {
  const std::int64_t own = axis - (rank - shape.rank());
  return own < 0 ? 1 : shape[own];
}

}  // namespace

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const std::int64_t rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> extents;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    const std::int64_t left = aligned(a, axis, rank), right = aligned(b, axis, rank);
    require(left == right || left == 1 || right == 1,
            "inputs must have equal shapes, or extents of 1 that can be repeated, got {} and {}", a,
            b);
    extents.push_back(left == 1 ? right : left);
  }
  return Shape(std::move(extents));
}

Broadcast::Broadcast(const Shape& a, const Shape& b) {
  const Shape y = broadcast_shape(a, b);
  std::int64_t stride_a = 1, stride_b = 1, stride_y = 1;
  std::vector<Axis> reversed;  // innermost first
  for (std::int64_t axis = y.rank() - 1; axis >= 0; --axis) {
    const std::int64_t extent = y[axis];
    const std::int64_t own_a = aligned(a, axis, y.rank()), own_b = aligned(b, axis, y.rank());
    const Axis now{extent, own_a == 1 ? 0 : stride_a, own_b == 1 ? 0 : stride_b, stride_y};
    stride_a *= own_a;
    stride_b *= own_b;
    stride_y *= extent;
    if (extent == 1) continue;
    if (!reversed.empty()) {
      Axis& last = reversed.back();
      if (now.a == last.a * last.extent && now.b == last.b * last.extent) {
        last.extent *= extent;
        continue;
      }
    }
    reversed.push_back(now);
  }
  if (reversed.empty()) reversed.push_back({1, 0, 0, 1});
  axes_.assign(reversed.rbegin(), reversed.rend());
  count_ = y.numel();
}

}  // namespace rung
