#pragma once

#include <string>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/quantsim/config.h"

namespace rung::quantsim {

/// Returns what is probably wrong with a configuration although it can be obeyed: op types that
/// look misspelt or that nobody knows, an unknown hw_version, unknown passes. Each begins with the
/// JSON path.
std::vector<std::string> config_warnings(const QuantSimConfig& config, const Graph& graph);

}  // namespace rung::quantsim
