#pragma once

#include "console/console.h"

namespace rung::cli {

/// Times direct and Winograd's convolutions pass by pass, for many numbers of channels and tiles,
/// and prints the rules of ConvAlgorithm::automatic that follow
/// (src/ops/linear/conv_algorithm.cpp).
void print_conv_rules(const Console& console);

}  // namespace rung::cli
