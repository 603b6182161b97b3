#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "rung/analysis/analysis.h"
#include "rung/analysis/findings.h"
#include "rung/graph/graph.h"

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

/// What two analyses must have in common to be compared.
struct Comparable {
  std::string metric;  ///< of the levels
  std::int64_t images = 0;
  std::set<std::string> layers;  ///< those with weights: "Conv conv1"
};

Comparable comparable(const analysis::Analysis& analysis);
/// Returns Comparable::layers of a network. Batch norms are none: they may be folded in one model
/// and not in the other.
std::set<std::string> layers_with_weights(const Graph& graph);

/// Throws Error unless an earlier analysis has a score, and can be compared with another one.
void check_comparable(const analysis::Analysis& before, const Comparable& now);

/// Returns by how much a network is worse than the one of an earlier analysis that it can be
/// compared with: in dB, or in points of top1.
double drop_since(const analysis::Analysis& before, const analysis::Analysis& now);

/// Returns the name of the layer with quantizers whose sensitivity is worst; empty if there is
/// none.
std::string worst_layer(const analysis::Analysis& analysis);

}  // namespace rung::cli
