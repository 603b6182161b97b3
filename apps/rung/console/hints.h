#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rung/quantsim/scheme.h"

namespace rung::cli {

/// How a model was quantized, as far as another way may do better.
struct QuantizeChoices {
  QuantScheme scheme;
  std::string per_channel;  ///< the configuration that is the same but per channel; or empty
  int param_bw = 8, output_bw = 8;
  std::optional<int> edge_bw = {};
  bool integers = true;  ///< and not short floats
};

/// Returns what to try, in the order of the effort, after so many points of accuracy were lost:
/// what was not tried yet. Empty if little was lost.
std::vector<std::string> hints(const QuantizeChoices& choices, double lost_points);

}  // namespace rung::cli
