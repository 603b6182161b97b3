#pragma once

#include <cstdint>

#include "rung/quant/encoding.h"

namespace rung {

/// Returns min and max to store so that encoding_from_range() gives exactly this scale and offset
/// (of the grid's codes) again; the nearest ones if float32 has none.
Range stored_range(float scale, std::int64_t offset, int bitwidth, Symmetry symmetry);

}  // namespace rung
