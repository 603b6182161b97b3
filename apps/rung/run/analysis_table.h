#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rung/analysis/analysis.h"
#include "rung/analysis/findings.h"

namespace rung::cli {

/// Returns what an analysis says about the whole network, and a table of its layers with the worst
/// one first, at most `rows` of them (0: all), in at most 100 columns beside the layers' names.
std::string table_of(const analysis::Analysis& analysis, std::int64_t rows);

/// Returns a line for each finding, with what may help; empty if there is none.
std::string lines_of(const std::vector<analysis::Finding>& findings);

/// Returns what a metric's figures are for people: "SQNR in dB", "top1 in %".
std::string unit_of(const std::string& metric);
/// Returns a figure in that unit.
std::string shown(double value, const std::string& metric);

/// Throws Error unless the levels of an earlier analysis are in this metric, and of as many images.
void check_comparable(const analysis::Analysis& before, const std::string& metric,
                      std::int64_t images);

/// Returns by how much a network is worse than the one of an earlier analysis that it can be
/// compared with: in dB, or in points of top1.
double drop_since(const analysis::Analysis& before, const analysis::Analysis& now);

/// Returns the name of the layer with quantizers whose sensitivity is worst; empty if there is
/// none.
std::string worst_layer(const analysis::Analysis& analysis);

}  // namespace rung::cli
