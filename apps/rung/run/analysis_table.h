#pragma once

#include <cstdint>
#include <string>

#include "rung/analysis/analysis.h"

namespace rung::cli {

/// Returns what an analysis says about the whole network, and a table of its layers with the worst
/// one first, at most `rows` of them (0: all), in at most 100 columns beside the layers' names.
std::string table_of(const analysis::Analysis& analysis, std::int64_t rows);

/// Throws Error unless the levels of an earlier analysis are in this metric, and of as many images.
void check_comparable(const analysis::Analysis& before, const std::string& metric,
                      std::int64_t images);

/// Returns by how much a network is worse than the one of an earlier analysis that it can be
/// compared with, in the figure that both have of it (see analysis::Levels).
double drop_since(const analysis::Analysis& before, const analysis::Analysis& now);

/// Returns the name of the layer with quantizers whose sensitivity is worst; empty if there is
/// none.
std::string worst_layer(const analysis::Analysis& analysis);

}  // namespace rung::cli
