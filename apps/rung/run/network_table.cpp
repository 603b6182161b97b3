#include "run/network_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "console/table.h"
#include "rung/core/text.h"

namespace rung::cli {
namespace {

using analysis::LayerSummary;
using analysis::NetworkSummary;

/// Returns what a quantizer works on, in short: w, b, in, out, or the end of a parameter's name.
std::string place_of(const QuantizerHandle& quantizer) {
  if (quantizer.place() == QuantizerPlace::edge) return "in";
  if (quantizer.place() == QuantizerPlace::value) return "out";
  const std::string name = quantizer.name();
  const std::string last = name.substr(name.find_last_of('.') + 1);
  return last == "weight" ? "w" : last == "bias" ? "b" : last + " ";
}

std::string short_text(const QuantizerHandle& quantizer) {
  const Granularity cut = quantizer.op().quantizer().granularity();
  const std::string text = fmt::format("{}{}{}{}", place_of(quantizer), quantizer.bitwidth(),
                                       cut.blocks ? "k"
                                       : cut.axis ? "c"
                                                  : "",
                                       quantizer.works() && !quantizer.initialized() ? "?" : "");
  return quantizer.works() ? text : "(" + text + ")";
}

std::string quantizers_of(const LayerSummary& layer) {
  std::string text;
  for (const QuantizerHandle& each : layer.quantizers)
    text += (text.empty() ? "" : " ") + short_text(each);
  return text;
}

std::string attributes_of(const LayerSummary& layer) {
  std::string text;
  for (const analysis::Attribute& each : layer.attributes)
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", each.name, each.value);
  constexpr std::size_t kMost = 1000;
  return shortened(text, kMost);
}

std::string or_nothing(const std::string& text, std::int64_t number) {
  return number == 0 ? std::string() : text;
}

/// Returns "0.5", or "0.5..2" if the channels differ.
std::string spread(double low, double high) {
  return low == high ? fmt::format("{:.3g}", low) : fmt::format("{:.3g}..{:.3g}", low, high);
}

std::string granularity_of(const Quantizer& quantizer) {
  const Granularity cut = quantizer.granularity();
  if (!cut.axis) return "per tensor";
  return cut.blocks ? "per block" : fmt::format("per channel ({})", cut.channels);
}

/// Returns how many blocks there are, and what their scales are made of.
std::string blocks_of(const Quantizer& quantizer) {
  const Granularity cut = quantizer.granularity();
  if (!cut.axis || !cut.blocks) return {};
  const auto* grouped = dynamic_cast<const GroupedBlockQuantizer*>(&quantizer);
  const std::string bits =
      grouped == nullptr ? ""
                         : fmt::format(" grouped to {} bits", grouped->grouping().decompressed_bw);
  return fmt::format("per block ({} x {}){}", cut.channels, cut.blocks->count, bits);
}

std::string kind_of(const Quantizer& quantizer) {
  if (const auto* floating = dynamic_cast<const FloatQuantizer*>(&quantizer))
    return std::string(floating->format().name);
  std::string kind(to_string(quantizer.resolved_symmetry()));
  return quantizer.kind() == "affine" ? kind : fmt::format("{}, {}", quantizer.kind(), kind);
}

std::string state_of(const QuantizerHandle& quantizer) {
  const std::string state = !quantizer.enabled()       ? "off"
                            : !quantizer.initialized() ? "still to find"
                            : quantizer.learned()      ? "learned"
                                                       : "fixed";
  return state + (quantizer.frozen() ? ", frozen" : "");
}

std::vector<std::string> row_of(const QuantizerHandle& quantizer) {
  const Quantizer& settings = quantizer.op().quantizer();
  std::string range, scale;
  const bool has_scale = quantizer.initialized() && !settings.pass_through();
  if (has_scale && !quantizer.encoding().is_float()) {
    const Encoding encoding = quantizer.encoding();
    const Range widest = encoding.widest_range();
    range = fmt::format("{:.3g}..{:.3g}", widest.min, widest.max);
    const auto [low, high] = std::ranges::minmax(encoding.scale);
    scale = spread(low, high);
  }
  return {quantizer.name(),
          std::to_string(quantizer.bitwidth()),
          kind_of(settings),
          granularity_of(settings),
          range,
          scale,
          state_of(quantizer)};
}

}  // namespace

std::string layer_table(const NetworkSummary& network) {
  using Kind = Column::Kind;
  const bool is_quantized = network.quantizers > 0;
  std::vector<Column> columns = {{"layer", Kind::text, 16},  {"type", Kind::text, 24},
                                 {"output", Kind::text, 16}, {"parameters", Kind::number},
                                 {"MACs", Kind::number},     {"bytes", Kind::number}};
  if (is_quantized) columns.push_back({"quantizers", Kind::text, 10});
  Table table(columns);
  std::set<char> used;
  for (const LayerSummary& layer : network.layers) {
    const std::string quantizers = quantizers_of(layer);
    used.insert(quantizers.begin(), quantizers.end());
    table.row({layer.name, layer.type, layer.output_shape.to_string(),
               or_nothing(with_commas(layer.parameters), layer.parameters),
               or_nothing(in_short(layer.macs), layer.macs),
               or_nothing(in_short(layer.bytes), layer.bytes), quantizers},
              attributes_of(layer));
  }
  std::string text = table.text();
  if (!is_quantized) return text;
  text += "quantizers: bits of weight (w), bias (b), inputs (in), outputs (out)";
  if (used.contains('c')) text += "; c per channel";
  if (used.contains('k')) text += "; k per block";
  if (used.contains('?')) text += "; ? no range yet";
  if (used.contains('(')) text += "; (off)";
  return text + "\n";
}

std::string quantizer_table(const Graph& graph) {
  using Kind = Column::Kind;
  const std::vector<QuantizerHandle> quantizers = find_quantizers(graph);
  if (quantizers.empty()) return {};
  std::vector<Column> columns = {{"quantizer", Kind::text, 16},
                                 {"bits", Kind::number},
                                 {"codes", Kind::text, 10},
                                 {"granularity", Kind::text},
                                 {"range"},
                                 {"scale"}};
  const std::string first = state_of(quantizers[0]);
  const bool all_same = std::ranges::all_of(
      quantizers, [&](const QuantizerHandle& each) { return state_of(each) == first; });
  if (!all_same) columns.push_back({"ranges are"});
  Table table(columns);
  for (const QuantizerHandle& each : quantizers)
    table.row(row_of(each), blocks_of(each.op().quantizer()));
  return table.text() + (all_same ? fmt::format("all ranges are {}\n", first) : "");
}

std::string quantization_of(const QuantizationSimModel& sim) {
  if (sim.is_imported()) return "Quantized model: its quantizers came with the ONNX file\n";
  const QuantSimOptions& options = sim.options();
  const std::string ends = options.edge_bw ? fmt::format(", ends {} bit", *options.edge_bw) : "";
  const std::string how =
      fmt::format("Quantized model: {}, parameters {} bit, activations {} bit{}{}",
                  to_string(options.quant_scheme), options.default_param_bw,
                  options.default_output_bw, ends, options.int32_biases ? ", biases 32 bit" : "");
  return wrapped(how, kTextColumns, 4) + fmt::format("\nconfiguration {}, rules {}\n",
                                                     options.config_file,
                                                     name_of(sim.config().rules));
}

std::string totals(const NetworkSummary& network) {
  std::string text = fmt::format(
      "{} layers, {} parameters, {} MACs per image\n",
      std::ranges::count_if(network.layers,
                            [](const LayerSummary& each) { return each.type != "input"; }),
      with_commas(network.parameters), with_commas(network.macs));
  text += fmt::format("parameters: {} bytes in float", with_commas(network.float_bytes));
  if (network.quantizers == 0) return text + "\n";
  const std::int64_t off = network.quantizers - network.working_quantizers;
  return text + fmt::format(", {} quantized; {} quantizers{}\n", with_commas(network.bytes),
                            network.quantizers,
                            off == 0 ? "" : fmt::format(", {} of them off", off));
}

void report_network(const NetworkSummary& network, Report& report) {
  report.set("layers", std::vector<std::string>{});
  for (const LayerSummary& layer : network.layers) {
    Report entry, attributes;
    entry.set("name", layer.name);
    entry.set("type", layer.type);
    const auto dims = layer.output_shape.dims();
    entry.set("output_shape", std::vector<std::int64_t>(dims.begin(), dims.end()));
    for (const analysis::Attribute& each : layer.attributes) attributes.set(each.name, each.value);
    entry.set("attributes", attributes);
    entry.set("parameters", layer.parameters);
    entry.set("macs", layer.macs);
    entry.set("float_bytes", layer.float_bytes);
    entry.set("bytes", layer.bytes);
    std::vector<std::string> quantizers;
    for (const QuantizerHandle& each : layer.quantizers) quantizers.push_back(each.name());
    entry.set("quantizers", quantizers);
    report.append("layers", entry);
  }
  report.set("macs", network.macs);
  Report bytes;
  bytes.set("float", network.float_bytes);
  bytes.set("quantized", network.bytes);
  report.set("parameter_bytes", bytes);
}

}  // namespace rung::cli
