#pragma once

#include "quant/histogram.h"
#include "rung/quant/encoding.h"

namespace rung {

/// Returns what the search of make_sqnr() minimizes: the squared error of quantizing the
/// histogram's numbers with this scale, `offset` being that of the codes 0 .. grid.steps()
/// (file_offset).
double sqnr_cost(const Histogram& histogram, float scale, float offset, const Grid& grid);

}  // namespace rung
