#pragma once

#include <string>

#include "console/report.h"
#include "rung/analysis/summary.h"
#include "rung/graph/graph.h"
#include "rung/quantsim/quantsim.h"

// What rung inspect shows of a network, in lines of at most 100 columns.

namespace rung::cli {

/// Returns a row for each input and operation in network order, with its attributes below it where
/// they are no defaults.
std::string layer_table(const analysis::NetworkSummary& network);
/// Returns a row for each quantizer; empty if there is none.
std::string quantizer_table(const Graph& graph);
/// Returns how a model was quantized, and by which configuration.
std::string quantization_of(const QuantizationSimModel& sim);
/// Returns the sums over the network.
std::string totals(const analysis::NetworkSummary& network);

/// Sets "layers" and their sums, "macs" and "parameter_bytes".
void report_network(const analysis::NetworkSummary& network, Report& report);

}  // namespace rung::cli
