#include "console/hints.h"

#include <algorithm>
#include <string_view>

namespace rung::cli {
namespace {

constexpr double kLittle = 1.0;  // point: less is within what seeds and few test images make

/// Returns the name of the scheme that searches ranges and else does as the given one; empty if
/// that does more than to look at the ends of what it saw.
std::string searching_scheme(QuantScheme scheme) {
  if (scheme.estimator != "min_max" && scheme.estimator != "percentile") return {};
  scheme.estimator = "sqnr";
  return short_name(scheme);
}

/// Returns the configuration that is the same but per channel; empty if there is none.
std::string_view per_channel_of(std::string_view config) {
  if (config == "per_tensor") return "default";
  if (config == "aimet_2_42_per_tensor") return "aimet_2_42";
  if (config == "aimet_2024") return "aimet_2024_per_channel";
  return {};
}

}  // namespace

std::vector<std::string> hints(const QuantizeChoices& choices, double lost_points) {
  std::vector<std::string> hints;
  if (!(lost_points >= kLittle)) return hints;
  if (choices.integers) {
    if (const std::string scheme = searching_scheme(choices.scheme); !scheme.empty())
      hints.push_back("--scheme " + scheme);
    if (const std::string_view config = per_channel_of(choices.config); !config.empty())
      hints.push_back("--config " + std::string(config));
    if (!choices.edge_bw && std::min(choices.param_bw, choices.output_bw) < 8)
      hints.emplace_back("--edge-bw 8");
  }
  hints.emplace_back("rung qat");
  return hints;
}

}  // namespace rung::cli
