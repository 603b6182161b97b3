// An analysis as JSON text and back: one list of members for both directions.

#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analysis/json_members.h"
#include "analysis/training_members.h"
#include "core/check.h"
#include "rung/analysis/analysis.h"

namespace rung::analysis {

// ---- the members, each under its name in the file

template <typename Visitor>
void visit(Visitor& v, Error& e) {
  v("count", e.count), v("mse", e.mse), v("sqnr_db", e.sqnr_db), v("cosine", e.cosine);
}

template <typename Visitor>
void visit(Visitor& v, Levels& l) {
  v("metric", l.metric), v("nothing", l.nothing), v("weights", l.weights);
  v("activations", l.activations), v("everything", l.everything);
}

template <typename Visitor>
void visit(Visitor& v, Sensitivity& s) {
  v("name", s.name), v("quantizers", s.quantizers), v("alone", s.alone), v("all_but", s.all_but);
  v("alone_error", s.alone_error), v("all_but_error", s.all_but_error);
}

template <typename Visitor>
void visit(Visitor& v, AtBitwidth& b) {
  v("bitwidth", b.bitwidth), v("weight_bytes", b.weight_bytes), v("saved_bytes", b.saved_bytes);
  v("alone_sqnr_db", b.alone_sqnr_db), v("network_sqnr_db", b.network_sqnr_db);
}

template <typename Visitor>
void visit(Visitor& v, Accumulator& a) {
  v("worst_case_bits", a.worst_case_bits), v("observed_bits", a.observed_bits);
}

template <typename Visitor>
void visit(Visitor& v, Layer& l) {
  v("name", l.name), v("type", l.type), v("inputs", l.inputs), v("output_shape", l.output_shape);
  v("quantizers", l.quantizers), v("accumulated", l.accumulated), v("alone", l.alone);
  v("alone_weights", l.alone_weights), v("alone_output", l.alone_output), v("macs", l.macs);
  v("parameters", l.parameters), v("seconds", l.seconds), v("accumulator", l.accumulator);
  v("at_bitwidths", l.at_bitwidths);
}

template <typename Visitor>
void visit(Visitor& v, Distribution& d) {
  v("min", d.min), v("max", d.max), v("counts", d.counts);
}

template <typename Visitor>
void visit(Visitor& v, Statistics& s) {
  v("count", s.count), v("min", s.min), v("max", s.max), v("mean", s.mean);
  v("deviation", s.deviation), v("percentiles", s.percentiles);
  v("distribution", s.distribution), v("channel_min", s.channel_min);
  v("channel_max", s.channel_max), v("dead_channels", s.dead_channels);
  v("channel_spread", s.channel_spread);
}

template <typename Visitor>
void visit(Visitor& v, Codes& c) {
  v("clipped_below", c.clipped_below), v("clipped_above", c.clipped_above), v("used", c.used);
  v("ties", c.ties), v("clipping_mse", c.clipping_mse), v("rounding_mse", c.rounding_mse);
}

template <typename Visitor>
void visit(Visitor& v, Quantizer& q) {
  v("name", q.name), v("aimet_name", q.aimet_name), v("layer", q.layer), v("place", q.place);
  v("kind", q.kind), v("bitwidth", q.bitwidth), v("symmetry", q.symmetry);
  v("per_channel", q.per_channel), v("min", q.min), v("max", q.max), v("error", q.error);
  v("codes", q.codes), v("statistics", q.statistics);
}

template <typename Visitor>
void visit(Visitor& v, Confusion& c) {
  v("class_names", c.class_names), v("counts", c.counts);
}

template <typename Visitor>
void visit(Visitor& v, Cost& c) {
  v("images", c.images), v("network_macs", c.network_macs), v("passes", c.passes);
  v("passes_without_sharing", c.passes_without_sharing), v("score_calls", c.score_calls);
  v("seconds", c.seconds);
}

template <typename Visitor>
void visit(Visitor& v, Analysis& a) {
  v("metric", a.metric), v("levels", a.levels), v("outputs", a.outputs);
  v("layers_sensitivity", a.layers_sensitivity);
  v("quantizers_sensitivity", a.quantizers_sensitivity);
  v("groups_sensitivity", a.groups_sensitivity), v("layers", a.layers);
  v("quantizers", a.quantizers), v("confusion", a.confusion), v("cost", a.cost);
  v("training", a.training);
}

namespace {

constexpr std::int64_t kVersion = 1;

// ---- what cannot be

bool is_share(double x) { return x >= 0.0 && x <= 1.0; }

void check(const Error& error, const std::string& of) {
  require(error.count >= 0 && !(error.mse < 0.0) && !(std::abs(error.cosine) > 1.0 + 1e-6),
          "the error of {} has a count, a mse or a cosine that cannot be", of);
}

/// Shares are what labels and winners give; other scores may be any number, also none.
void check(const Levels& levels) {
  if (levels.metric != "top1" && levels.metric != "agreement") return;
  const std::pair<const char*, double> all[] = {{"nothing", levels.nothing},
                                                {"weights", levels.weights},
                                                {"activations", levels.activations},
                                                {"everything", levels.everything}};
  for (const auto& [name, level] : all)
    require(is_share(level), "levels.{} is {}: {} is a share in 0 .. 1", name, level,
            levels.metric);
}

void check(const Quantizer& q) {
  const Statistics& s = q.statistics;
  check(q.error, q.name);
  require(q.bitwidth >= 2 && q.bitwidth <= 64 && q.min.size() == q.max.size(),
          "quantizer {} has a bitwidth of {}, {} minima and {} maxima", q.name, q.bitwidth,
          q.min.size(), q.max.size());
  require(!q.codes || (is_share(q.codes->clipped_below) && is_share(q.codes->clipped_above) &&
                       is_share(q.codes->used) && is_share(q.codes->ties)),
          "quantizer {}: a share is not in 0 .. 1", q.name);
  require(s.count >= 0 && s.min <= s.max && s.channel_min.size() == s.channel_max.size() &&
              s.percentiles.size() == (s.count == 0 ? 0 : std::size(kPercentiles)),
          "quantizer {}: its statistics do not fit together", q.name);
  for (const double count : s.distribution.counts)
    require(count >= 0.0, "quantizer {}: its distribution counts {}", q.name, count);
}

void check(const Layer& layer, const std::set<std::string>& quantizers) {
  check(layer.accumulated, layer.name);
  for (const auto* each : {&layer.alone, &layer.alone_weights, &layer.alone_output})
    if (*each) check(**each, layer.name);
  require(layer.macs >= 0 && layer.parameters >= 0 && layer.seconds >= 0.0,
          "layer {} has a negative figure", layer.name);
  for (const std::string& name : layer.quantizers)
    require(quantizers.contains(name), "layer {} has the quantizer {}, which is not listed",
            layer.name, name);
}

void check(const Confusion& confusion) {
  const std::size_t classes = confusion.counts.size();
  require(confusion.class_names.empty() || confusion.class_names.size() == classes,
          "confusion has {} names for {} classes", confusion.class_names.size(), classes);
  for (const std::vector<std::int64_t>& row : confusion.counts) {
    require(row.size() == classes, "confusion has a row of {} numbers for {} classes", row.size(),
            classes);
    for (const std::int64_t count : row) require(count >= 0, "confusion counts {} images", count);
  }
}

void check(const Analysis& analysis) {
  std::set<std::string> quantizers;
  check(analysis.levels);
  for (const Quantizer& each : analysis.quantizers) {
    check(each);
    require(quantizers.insert(each.name).second, "quantizer {} is listed twice", each.name);
  }
  for (const Layer& layer : analysis.layers) check(layer, quantizers);
  for (const auto* list : {&analysis.layers_sensitivity, &analysis.quantizers_sensitivity,
                           &analysis.groups_sensitivity})
    for (const Sensitivity& each : *list)
      for (const std::string& name : each.quantizers)
        require(quantizers.contains(name), "{} has the quantizer {}, which is not listed",
                each.name, name);
  if (analysis.training) check(*analysis.training);
  if (analysis.confusion) check(*analysis.confusion);
  require(analysis.cost.images > 0, "{} images were analyzed", analysis.cost.images);
}

}  // namespace

std::string to_json(const Analysis& analysis) {
  Analysis copy = analysis;  // what is visited could be written to
  Json json = Writer::to(copy);
  json["rung_analysis"] = kVersion;
  return io::dump_json(json, "analysis");
}

Analysis from_json(std::string_view text, std::string_view source) {
  const Json json = io::parse_json(text, source);
  const JsonPlace place(json, std::string(source));
  const JsonPlace version = place["rung_analysis"];
  if (version.integer() != kVersion)
    version.refuse(fmt::format("must be {}, the version that this program reads", kVersion));
  Analysis analysis;
  Reader reader(place);
  reader.know("rung_analysis");
  visit(reader, analysis);
  reader.check_keys();
  try {
    check(analysis);
  } catch (const rung::Error& error) {
    fail("{}: {}", source, error.what());
  }
  return analysis;
}

}  // namespace rung::analysis
