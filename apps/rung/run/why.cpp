#include "run/why.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "console/table.h"

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
  if (sim.is_imported())
    console.line("the quantizers came with the ONNX file: no configuration has placed them");
  const std::vector<PlacementReason> reasons = sim.placement_reasons();
  Table table({{"tensor"}, {"has"}, {"why"}});
  report.set("placement", std::vector<std::string>{});
  for (const PlacementReason& reason : reasons) {
    const bool is_edge = reason.place == QuantizerPlace::edge;
    table.row({is_edge ? fmt::format("{} at {}", reason.tensor, reason.quantizer) : reason.tensor,
               reason.state(), reason.why()});
    report.append("placement", describe(reason));
  }
  console.text(table.text());
}

}  // namespace rung::cli
