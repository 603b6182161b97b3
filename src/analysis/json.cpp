// An analysis as JSON text and back: one list of members for both directions.

#include "io/files/json.h"

#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "core/check.h"
#include "rung/analysis/analysis.h"

namespace rung::analysis {
namespace {

using io::Json;
using io::JsonPlace;

constexpr std::int64_t kVersion = 1;

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
  v("quantizers", a.quantizers), v("cost", a.cost);
}

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

// ---- writing

class Writer {
 public:
  template <typename T>
  void operator()(const char* key, T& member) {
    if constexpr (IsOptional<T>::value) {
      if (member) json_[key] = to(*member);
    } else {
      json_[key] = to(member);
    }
  }
  Json take() { return std::move(json_); }

  template <typename T>
  static Json to(T& member) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(member)) return "nan";
      if (std::isinf(member)) return member > 0 ? "inf" : "-inf";
      return member;
    } else if constexpr (IsVector<T>::value) {
      Json list = Json::array();
      for (auto& each : member) list.push_back(to(each));
      return list;
    } else if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string>) {
      Writer writer;
      visit(writer, member);
      return writer.take();
    } else {
      return member;
    }
  }

 private:
  Json json_ = Json::object();
};

// ---- reading

class Reader {
 public:
  explicit Reader(const JsonPlace& place) : place_(place) { place.object(); }

  template <typename T>
  void operator()(const char* key, T& member) {
    known_.insert(key);
    if constexpr (IsOptional<T>::value) {
      if (place_.has(key)) from(place_[key], member.emplace());
    } else {
      from(place_[key], member);
    }
  }
  void know(const char* key) { known_.insert(key); }
  /// Throws Error for a key that nobody asked for.
  void check_keys() const {
    for (const auto& [key, value] : place_.json().items())
      if (!known_.contains(key)) place_[key].refuse("is an unknown key");
  }

 private:
  static double number(const JsonPlace& place) {
    if (!place.json().is_string()) return place.number();
    const std::string& text = place.string(4);
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    if (text != "nan") place.refuse("must be a number, \"inf\", \"-inf\" or \"nan\"");
    return std::numeric_limits<double>::quiet_NaN();
  }

  template <typename T>
  static void from(const JsonPlace& place, T& member) {
    if constexpr (std::is_same_v<T, bool>) {
      member = place.boolean();
    } else if constexpr (std::is_integral_v<T>) {
      member = static_cast<T>(
          place.integer(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
    } else if constexpr (std::is_floating_point_v<T>) {
      const double x = number(place);
      const bool fits = !std::isfinite(x) || std::abs(x) <= std::numeric_limits<T>::max();
      if (!fits) place.refuse("must fit into 32 bits");
      member = static_cast<T>(x);
    } else if constexpr (std::is_same_v<T, std::string>) {
      member = place.string();
    } else if constexpr (IsVector<T>::value) {
      place.array();
      for (std::size_t i = 0; i < place.size(); ++i) from(place[i], member.emplace_back());
    } else {
      Reader reader(place);
      visit(reader, member);
      reader.check_keys();
    }
  }

  const JsonPlace& place_;
  std::set<std::string, std::less<>> known_;
};

// ---- what cannot be

bool is_share(double x) { return x >= 0.0 && x <= 1.0; }

void check(const Error& error, const std::string& of) {
  require(error.count >= 0 && !(error.mse < 0.0) && !(std::abs(error.cosine) > 1.0 + 1e-6),
          "the error of {} has a count, a mse or a cosine that cannot be", of);
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

void check(const Analysis& analysis) {
  std::set<std::string> quantizers;
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
