#pragma once

#include <string_view>

#include "rung/graph/graph.h"

namespace rung::quantsim {

/// Returns what a parameter is to the op that reads it, "weight" or "bias", which is how
/// configurations and AIMET's methods call it: whatever its own name is, a layer's traits, and
/// the place at a normalization, decide, behind quantizers too; elsewhere its role.
std::string_view parameter_key(const Value& parameter);

/// Returns the key of the parameter that a quantizer of one quantizes, folded in simulation or not.
std::string_view parameter_key(const Node& quantizer);

}  // namespace rung::quantsim
