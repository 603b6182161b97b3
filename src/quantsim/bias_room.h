#pragma once

#include <string>
#include <vector>

#include "rung/graph/graph.h"

namespace rung::quantsim {

/// Whether a frozen quantizer may be changed.
enum class Frozen { kept, changed };

/// Enlarges the ranges of weights, channel by channel, where a bias is more than 2^30 steps of
/// scale_x * scale_w[c]: int32 holds twice as many, the rest is room for the sum of products. That
/// happens behind filters of zeros and inputs that are always 0, whose scales are as small as they
/// can be, and with 16-bit weights and activations. Weights with blocks are left alone. Returns
/// what was changed, one line per weight.
std::vector<std::string> make_room_for_biases(Graph& graph, Frozen frozen);

}  // namespace rung::quantsim
