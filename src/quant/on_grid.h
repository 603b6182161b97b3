#pragma once

#include <optional>
#include <span>
#include <vector>

#include "rung/core/shape.h"
#include "rung/quant/encoding.h"

namespace rung {

/// Returns the ranges that give the scales of the symmetric grid that a tensor's numbers lie on
/// already: what rounded weights have when they are loaded again, maybe with other bits. Nothing
/// unless more than nine tenths of the blocks (numbers that share a scale) fit. AIMET 2.42 asks
/// this before it estimates a symmetric parameter quantizer's range, whatever the scheme; it knows
/// no name for it.
std::optional<std::vector<Range>> ranges_of_grid(std::span<const float> x, const Shape& shape,
                                                 const Granularity& granularity, const Grid& grid);

}  // namespace rung
