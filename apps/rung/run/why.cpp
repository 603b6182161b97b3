#include "run/why.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "rung/core/text.h"

namespace rung::cli {
namespace {

Report describe(const PlacementReason& reason) {
  constexpr std::array kPlaces = {"parameter", "value", "edge"};
  Report report;
  report.set("tensor", reason.tensor);
  report.set("quantizer", reason.quantizer);
  report.set("place", std::string_view(kPlaces[static_cast<std::size_t>(reason.place)]));
  report.set("state", reason.state());
  report.set("rules", std::vector<std::string>{});
  for (const PlacementRule& rule : reason.rules) {
    Report entry;
    entry.set("setting", rule.setting);
    entry.set("says", std::string_view(rule.is_quantized ? "quantizer" : "none"));
    report.append("rules", entry);
  }
  report.set("by_hand", reason.by_hand);
  report.set("precision_rule", reason.precision_rule);
  report.set("symmetric_rule", reason.symmetric_rule);
  report.set("per_channel_rule", reason.per_channel_rule);
  return report;
}

}  // namespace

void print_why(const QuantizationSimModel& sim, const Console& console, Report& report) {
  const std::vector<PlacementReason> reasons = sim.placement_reasons();
  std::vector<std::string> names;
  std::size_t name_width = 0, state_width = 0;
  for (const PlacementReason& reason : reasons) {
    const bool is_edge = reason.place == QuantizerPlace::edge;
    names.push_back(printable(is_edge ? fmt::format("{} at {}", reason.tensor, reason.quantizer)
                                      : reason.tensor));
    name_width = std::max(name_width, names.back().size());
    state_width = std::max(state_width, reason.state().size());
  }
  report.set("placement", std::vector<std::string>{});
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    console.line(fmt::format("{:<{}}  {:<{}}  {}", names[i], name_width, reasons[i].state(),
                             state_width, reasons[i].why()));
    report.append("placement", describe(reasons[i]));
  }
}

}  // namespace rung::cli
