#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "core/check.h"
#include "quantsim/impl.h"
#include "rung/core/text.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

using Row = std::vector<std::string>;

/// Returns "0.5", or "0.5..2" if the channels differ.
std::string spread(const std::vector<float>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  return low == high ? fmt::format("{:.5g}", low) : fmt::format("{:.5g}..{:.5g}", low, high);
}

std::string granularity_of(const Quantizer& quantizer) {
  const Granularity cut = quantizer.granularity();
  if (!cut.axis) return "per tensor";
  if (!cut.blocks) return fmt::format("per channel ({})", cut.channels);
  const auto* grouped = dynamic_cast<const GroupedBlockQuantizer*>(&quantizer);
  return fmt::format("per block ({} x {}){}", cut.channels, cut.blocks->count,
                     grouped == nullptr
                         ? ""
                         : fmt::format(" grouped to {} bits", grouped->grouping().decompressed_bw));
}

std::string kind_of(const Quantizer& quantizer) {
  const auto* floating = dynamic_cast<const FloatQuantizer*>(&quantizer);
  return std::string(floating == nullptr ? quantizer.kind() : floating->format().name);
}

Row row_of(const QuantizerHandle& quantizer) {
  const Quantizer& settings = quantizer.op().quantizer();
  std::string range = "-", scale = "-";
  const bool has_scale = quantizer.initialized() && !settings.pass_through();
  if (has_scale && !quantizer.encoding().is_float()) {
    const Encoding encoding = quantizer.encoding();
    const Range widest = encoding.widest_range();
    range = fmt::format("{:.5g}..{:.5g}", widest.min, widest.max);
    scale = spread(encoding.scale);
  }
  std::string state = !quantizer.enabled()       ? "disabled"
                      : !quantizer.initialized() ? "no range yet"
                      : quantizer.learned()      ? "learned"
                                                 : "fixed";
  if (quantizer.frozen()) state += ", frozen";
  return {printable(quantizer.name()),
          std::string(to_string(quantizer.place())),
          kind_of(settings),
          std::to_string(quantizer.bitwidth()),
          std::string(to_string(settings.resolved_symmetry())),
          granularity_of(settings),
          quantizer.op().estimator().name(),
          range,
          scale,
          state};
}

std::string heading(const QuantizationSimModel& sim, std::size_t quantizers) {
  const QuantSimOptions& options = sim.options();
  const std::string_view biases = options.int32_biases ? ", biases 32 bit" : "";
  if (sim.is_imported())  // options only say what later calibration and training do
    return fmt::format("Quantized model: {} quantizers, which came with its file{}", quantizers,
                       biases);
  return fmt::format(
      "Quantized model: {}, {} quantizers, parameters {} bit, activations {} bit{}{}; "
      "configuration {}, rules {}",
      to_string(options.quant_scheme), quantizers, options.default_param_bw,
      options.default_output_bw,
      options.edge_bw ? fmt::format(", ends {} bit", *options.edge_bw) : "", biases,
      printable(options.config_file), name_of(sim.config().rules));
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const QuantizationSimModel& sim) {
  std::vector<Row> rows = {{"quantizer", "on", "kind", "bits", "symmetry", "granularity",
                            "estimator", "range", "scale", "state"}};
  for (const QuantizerHandle& each : find_quantizers(sim.graph())) rows.push_back(row_of(each));
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());

  out << heading(sim, rows.size() - 1) << '\n';
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  }
  return out;
}

}  // namespace rung
