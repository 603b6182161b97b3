#include "run/analysis_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "console/table.h"
#include "run/options.h"
#include "rung/core/error.h"
#include "rung/core/text.h"
#include "rung/ops/ops.h"

namespace rung::cli {
namespace {

using analysis::Analysis;
using analysis::Sensitivity;

bool larger_is_better(const std::string& metric) { return metric != "mse" && metric != "kl"; }

std::vector<const Sensitivity*> worst_first(const Analysis& analysis) {
  std::vector<const Sensitivity*> all;
  for (const Sensitivity& each : analysis.layers_sensitivity) all.push_back(&each);
  const double sign = larger_is_better(analysis.metric) ? 1.0 : -1.0;
  std::ranges::stable_sort(all, [&](const Sensitivity* a, const Sensitivity* b) {
    return sign * a->alone < sign * b->alone;
  });
  return all;
}

/// Returns the largest share of a tensor of the layer that is clipped, in percent.
double clipped_percent(const Analysis& analysis, const Sensitivity& layer) {
  double most = 0.0;
  for (const std::string& name : layer.quantizers)
    if (const auto& codes = analysis.quantizer(name).codes)
      most = std::max(most, codes->clipped_below + codes->clipped_above);
  return 100.0 * most;
}

std::vector<std::string> row_of(const Analysis& analysis, const Sensitivity& each) {
  const auto layer = std::ranges::find(analysis.layers, each.name, &analysis::Layer::name);
  std::string output, four, sums, type = "input";
  if (layer != analysis.layers.end()) {
    output = fmt::format("{:.2f}", layer->accumulated.sqnr_db);
    type = layer->type;
    for (const analysis::AtBitwidth& at : layer->at_bitwidths)
      if (at.bitwidth == 4) four = fmt::format("{:.2f}", at.network_sqnr_db);
    if (layer->accumulator)
      sums = fmt::format("{}/{}", layer->accumulator->observed_bits,
                         layer->accumulator->worst_case_bits);
  }
  return {shown(each.alone, analysis.metric),
          shown(each.all_but, analysis.metric),
          output,
          four,
          sums,
          fmt::format("{:.3f}", clipped_percent(analysis, each)),
          fmt::format("{} ({})", each.name, type)};
}

}  // namespace

std::string unit_of(const std::string& metric) {
  if (metric == "top1" || metric == "agreement") return metric + " in %";
  return metric == "sqnr" ? "SQNR in dB" : metric;
}

std::string shown(double value, const std::string& metric) {
  if (metric == "top1" || metric == "agreement") return fmt::format("{:.2f}", percent(value));
  // Small numbers need their exponent, decibels do not.
  return metric == "sqnr" ? fmt::format("{:.2f}", value) : fmt::format("{:.4g}", value);
}

std::string table_of(const Analysis& analysis, std::int64_t rows) {
  const analysis::Levels& levels = analysis.levels;
  std::string text = fmt::format(
      "{}: float {}, weights quantized {}, activations {}, both {}\n"
      "SQNR of the outputs: {:.2f} dB\n"
      "alone, all but: {} of the outputs; output, at 4 bit: SQNR in dB\n\n",
      unit_of(levels.metric), shown(levels.nothing, levels.metric),
      shown(levels.weights, levels.metric), shown(levels.activations, levels.metric),
      shown(levels.everything, levels.metric), analysis.outputs.sqnr_db, unit_of(analysis.metric));
  constexpr auto kNumber = Column::Kind::number;
  Table table({{"alone", kNumber},
               {"all but", kNumber},
               {"output", kNumber},
               {"at 4 bit", kNumber},
               {"sums", kNumber},
               {"clipped%", kNumber},
               {"layer, worst first", Column::Kind::text, 16}});
  const std::vector<const Sensitivity*> all = worst_first(analysis);
  const std::size_t most = rows == 0 ? all.size() : static_cast<std::size_t>(rows);
  for (std::size_t i = 0; i < std::min(most, all.size()); ++i) table.row(row_of(analysis, *all[i]));
  text += table.text();
  if (most < all.size())
    text += fmt::format("... and {} more: --rows 0 shows all\n", all.size() - most);
  return text;
}

std::string lines_of(const std::vector<analysis::Finding>& findings) {
  std::string text;
  for (const analysis::Finding& each : findings) {
    text += each.subject.empty() ? "" : printable(each.subject) + ": ";
    text += each.text;
    text += each.remedies.empty()
                ? "\n"
                : fmt::format("\n    try {}\n", fmt::join(each.remedies, ", or "));
  }
  return text.empty() ? text : "\n" + text + "\n";
}

namespace {

bool is_weighted(const std::string& type) {
  const std::unique_ptr<Op> op = make_op(type);
  return op != nullptr && op->traits().weighted.has_value();
}

std::string named(std::string_view type, const std::string& name) {
  return fmt::format("{} {}", printable(type), printable(name));
}

/// Throws Error unless two networks have the same layers.
void check_layers(const std::set<std::string>& before, const std::set<std::string>& now) {
  constexpr const char* kOther = "is of another network: ";
  for (const std::string& layer : before)
    if (!now.contains(layer))
      throw Error(fmt::format("{}it has a {}, which this model has not", kOther, layer));
  for (const std::string& layer : now)
    if (!before.contains(layer))
      throw Error(fmt::format("{}it has no {}, which this model has", kOther, layer));
}

}  // namespace

Comparable comparable(const Analysis& analysis) {
  Comparable result{.metric = analysis.levels.metric, .images = analysis.cost.images, .layers = {}};
  for (const analysis::Layer& layer : analysis.layers)
    if (is_weighted(layer.type)) result.layers.insert(named(layer.type, layer.name));
  return result;
}

std::set<std::string> layers_with_weights(const Graph& graph) {
  std::set<std::string> layers;
  for (const Node* node : graph.nodes())
    if (is_weighted(std::string(node->type()))) layers.insert(named(node->type(), node->name()));
  return layers;
}

void check_comparable(const Analysis& before, const Comparable& now) {
  check_layers(comparable(before).layers, now.layers);
  if (before.levels.metric != now.metric)
    throw Error(
        fmt::format("its figure is the {}, that of this run the {}: analyze both with "
                    "labels or both without",
                    unit_of(printable(before.levels.metric)), unit_of(now.metric)));
  if (before.cost.images != now.images)
    throw Error(fmt::format("is of {} images, this run of {}: give both the same --test-images",
                            before.cost.images, now.images));
  if (std::isnan(before.levels.everything))
    throw Error("levels.everything, which is compared, is no number: analyze the baseline again");
}

double drop_since(const Analysis& before, const Analysis& now) {
  // Two networks that lose nothing are equally good, and infinity less itself is no number.
  if (before.levels.everything == now.levels.everything) return 0.0;
  const double drop = before.levels.everything - now.levels.everything;
  return now.levels.metric == "top1" ? percent(drop) : drop;
}

std::string worst_layer(const Analysis& analysis) {
  const std::vector<const Sensitivity*> all = worst_first(analysis);
  return all.empty() ? std::string() : all.front()->name;
}

}  // namespace rung::cli
