#include "console/hints.h"

#include <algorithm>

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

}  // namespace

std::vector<std::string> hints(const QuantizeChoices& choices, double lost_points) {
  std::vector<std::string> hints;
  if (!(lost_points >= kLittle)) return hints;
  if (choices.integers) {
    if (const std::string scheme = searching_scheme(choices.scheme); !scheme.empty())
      hints.push_back("--scheme " + scheme);
    if (!choices.per_channel.empty()) hints.push_back("--config " + choices.per_channel);
    if (!choices.edge_bw && std::min(choices.param_bw, choices.output_bw) < 8)
      hints.emplace_back("--edge-bw 8");
  }
  hints.emplace_back("rung qat");
  return hints;
}

}  // namespace rung::cli
