#include "console/hints.h"

#include <algorithm>

#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

constexpr double kLittle = 1.0;  // point: less is within what seeds and few test images make

/// Returns the scheme that searches ranges and else does as the given one; empty if that searches.
std::string searching_scheme(const std::string& name) {
  switch (parse_quant_scheme(name)) {
    case QuantScheme::post_training_tf:
    case QuantScheme::post_training_percentile:
      return "tf_enhanced";
    case QuantScheme::training_range_learning_with_tf_init:
      return "range_learning_tf_enhanced";
    case QuantScheme::training_lsq_with_tf_init:
      return "lsq_tf_enhanced";
    default:
      return {};
  }
}

}  // namespace

std::vector<std::string> hints(const QuantizeChoices& choices, double lost_points) {
  std::vector<std::string> hints;
  if (!(lost_points >= kLittle)) return hints;
  if (choices.integers) {
    if (const std::string scheme = searching_scheme(choices.scheme); !scheme.empty())
      hints.push_back("--scheme " + scheme);
    if (choices.config == "default") hints.emplace_back("--config per_channel");
    if (!choices.edge_bw && std::min(choices.param_bw, choices.output_bw) < 8)
      hints.emplace_back("--edge-bw 8");
  }
  hints.emplace_back("rung qat");
  return hints;
}

}  // namespace rung::cli
