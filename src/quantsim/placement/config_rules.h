#pragma once

#include <span>
#include <string_view>

#include "rung/quant/encoding.h"
#include "rung/quantsim/config_rules.h"

namespace rung::quantsim {

/// A rule that is true or false, and its key in the object "rung" of a configuration file.
struct BooleanRule {
  std::string_view key;
  bool ConfigRules::*rule;
};
std::span<const BooleanRule> boolean_rules();

/// Returns those of the rules that every quantizer carries itself.
GridRules grid_rules(const ConfigRules& rules);

}  // namespace rung::quantsim
