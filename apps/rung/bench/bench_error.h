#pragma once

#include "bench/bench_subject.h"
#include "console/console.h"

namespace rung::cli {

/// Prints for every convolution of a network that Winograd's algorithm can do how far its output
/// and gradients are from those of the direct one, on the same numbers.
void print_conv_errors(const BenchNetwork& network, const BenchData& data, const Console& console);

}  // namespace rung::cli
