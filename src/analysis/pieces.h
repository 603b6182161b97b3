#pragma once

#include <cstddef>
#include <vector>

#include "quant/channels.h"
#include "rung/core/shape.h"

namespace rung::analysis {

/// Consecutive numbers of a tensor that share a scale.
struct Piece {
  std::size_t channel, begin, size;
};

/// Cuts a tensor into pieces of limited size, for threads, and for sums in a fixed order.
std::vector<Piece> pieces_of(const Shape& shape, const Granularity& granularity);

}  // namespace rung::analysis
