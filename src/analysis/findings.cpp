#include "rung/analysis/findings.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "core/check.h"

namespace rung::analysis {
namespace {

// What is worth a sentence. Below, quantization works as it should.
constexpr double kGoodSqnr = 30.0;        // dB: top1 of classifiers hardly changes
constexpr double kOneSided = 6.0;         // dB between weights and activations: 4 times the noise
constexpr double kLargePart = 0.25;       // of the error that all layers make alone
constexpr double kOutliers = 4.0;         // range over that of 99.8 % of the numbers
constexpr double kNegative = 0.25;        // of how far numbers reach above zero: a bit is lost
constexpr double kUnequalInputs = 8.0;    // as for channels
constexpr double kUnequalChannels = 8.0;  // 3 of the bits are lost for the channel in the middle
constexpr double kClipped = 0.01;         // of the numbers
constexpr double kUsedCodes = 0.25;       // 2 of the bits are wasted
constexpr double kDeadChannels = 0.25;    // of the channels
constexpr double kTies = 0.01;            // of the numbers

/// A finding and how bad it is.
using Weighted = std::pair<double, Finding>;
using Rule = std::function<std::vector<Weighted>(const Analysis&)>;

bool is_activation(const Quantizer& quantizer) { return quantizer.place != "parameter"; }

double noise_of(const Sensitivity& each) { return each.alone_error.mse; }

/// Calls `look` with every quantizer; where it finds something, that is about the quantizer.
template <typename Look>
Rule for_quantizers(Look look) {
  return [look](const Analysis& analysis) {
    std::vector<Weighted> found;
    for (const Quantizer& each : analysis.quantizers)
      if (std::optional<Weighted> one = look(each)) {
        one->second.subject = each.name;
        found.push_back(std::move(*one));
      }
    return found;
  };
}

/// Returns the bitwidth above the least of these quantizers that networks are run with; 0 if there
/// is none.
template <typename Wanted>
int more_bits(const Analysis& analysis, Wanted wanted) {
  int least = 16;
  for (const Quantizer& each : analysis.quantizers)
    if (wanted(each)) least = std::min(least, each.bitwidth);
  return least < 4 ? 4 : least < 8 ? 8 : least < 16 ? 16 : 0;
}

std::vector<std::string> more_for_weights(const Analysis& analysis) {
  const auto is_weight = [](const Quantizer& each) { return !is_activation(each); };
  std::vector<std::string> remedies;
  if (std::ranges::any_of(analysis.quantizers, [&](const Quantizer& each) {
        return is_weight(each) && !each.per_channel && each.statistics.channel_min.size() > 1;
      }))
    remedies.emplace_back("--config per_channel");
  if (const int bits = more_bits(analysis, is_weight); bits > 0)
    remedies.push_back(fmt::format("--param-bw {}", bits));
  return remedies;
}

std::vector<std::string> more_for_activations(const Analysis& analysis) {
  const int bits = more_bits(analysis, is_activation);
  if (bits == 0) return {};
  return {fmt::format("--output-bw {}", bits)};
}

std::vector<Weighted> one_sided(const Analysis& analysis) {
  if (analysis.levels.metric != "sqnr" || analysis.levels.everything >= kGoodSqnr) return {};
  const double weights = analysis.levels.weights, activations = analysis.levels.activations;
  if (!(std::abs(weights - activations) >= kOneSided)) return {};
  const bool by_weights = weights < activations;
  return {{0.0,
           {.text = fmt::format("the outputs' SQNR is {:.1f} dB with quantized weights alone and "
                                "{:.1f} dB with quantized activations alone: the {} lose most",
                                weights, activations, by_weights ? "weights" : "activations"),
            .remedies = by_weights ? more_for_weights(analysis) : more_for_activations(analysis)}}};
}

/// The first and the last layer that has parameters are those of --edge-bw.
bool is_edge(const Analysis& analysis, const std::string& name) {
  const auto has_parameters = [](const Layer& layer) { return layer.parameters > 0; };
  const auto first = std::ranges::find_if(analysis.layers, has_parameters);
  const auto last = std::find_if(analysis.layers.rbegin(), analysis.layers.rend(), has_parameters);
  return first != analysis.layers.end() && (first->name == name || last->name == name);
}

/// Returns the share that a layer has in the error that all layers make alone.
double part_of(const Analysis& analysis, const Sensitivity& one) {
  double all = 0.0;
  for (const Sensitivity& each : analysis.layers_sensitivity) all += noise_of(each);
  return noise_of(one) / all;
}

std::vector<Weighted> sensitive_layers(const Analysis& analysis) {
  std::vector<Weighted> found;
  if (analysis.outputs.sqnr_db >= kGoodSqnr || analysis.layers_sensitivity.size() < 2) return {};
  for (const Sensitivity& each : analysis.layers_sensitivity) {
    const double part = part_of(analysis, each);
    const auto layer = std::ranges::find(analysis.layers, each.name, &Layer::name);
    if (!(part >= kLargePart) || layer == analysis.layers.end()) continue;
    const auto eight = std::ranges::find(layer->at_bitwidths, 8, &AtBitwidth::bitwidth);
    std::string then;
    if (eight != layer->at_bitwidths.end() && eight->alone_sqnr_db > each.alone_error.sqnr_db + 1.0)
      then = fmt::format(", with 8 bits it would be about {:.1f} dB", eight->alone_sqnr_db);
    found.push_back(
        {part,
         {.subject = each.name,
          .text = fmt::format("of the error that layers make alone it makes {:.0f} %: the outputs' "
                              "SQNR is {:.1f} dB with it alone{}",
                              100 * part, each.alone_error.sqnr_db, then),
          .remedies = !then.empty() && is_edge(analysis, each.name)
                          ? std::vector<std::string>{"--edge-bw 8", "rung qat"}
                          : std::vector<std::string>{"rung qat"}}});
  }
  return found;
}

std::vector<Weighted> starved_last_layer(const Analysis& analysis) {
  const auto last = std::find_if(analysis.layers.rbegin(), analysis.layers.rend(),
                                 [](const Layer& layer) { return layer.parameters > 0; });
  if (last == analysis.layers.rend() || analysis.outputs.sqnr_db >= kGoodSqnr) return {};
  const auto alone = std::ranges::find(analysis.layers_sensitivity, last->name, &Sensitivity::name);
  if (alone == analysis.layers_sensitivity.end() || alone->alone_error.sqnr_db >= kGoodSqnr ||
      part_of(analysis, *alone) >= kLargePart)  // then that is said already
    return {};
  int least = 8;
  for (const std::string& name : last->quantizers)
    least = std::min(least, analysis.quantizer(name).bitwidth);
  if (least >= 8) return {};
  return {{0.0,
           {.subject = last->name,
            .text = fmt::format("the last layer has {} bits, and nothing behind it makes up for "
                                "what is lost: the outputs' SQNR is {:.1f} dB with it alone",
                                least, alone->alone_error.sqnr_db),
            .remedies = {"--edge-bw 8"}}}};
}

/// Returns how wide 99.8 % of a tensor's numbers lie; 0: not known.
double width_of(const Quantizer& each) {
  const std::vector<double>& percentiles = each.statistics.percentiles;
  return percentiles.empty() ? 0.0 : percentiles.back() - percentiles.front();
}

/// What is concatenated has one range, whatever its parts need.
std::vector<Weighted> unequal_inputs(const Analysis& analysis) {
  std::vector<Weighted> found;
  for (const Layer& layer : analysis.layers) {
    if (layer.type != "Concat") continue;
    const Quantizer *narrow = nullptr, *wide = nullptr;
    for (const Quantizer& each : analysis.quantizers) {
      if (each.place != "value" || !std::ranges::count(layer.inputs, each.layer)) continue;
      const double width = width_of(each);
      if (!(width > 0.0)) continue;
      if (narrow == nullptr || width < width_of(*narrow)) narrow = &each;
      if (wide == nullptr || width > width_of(*wide)) wide = &each;
    }
    if (narrow == nullptr) continue;
    const bool is_shared = narrow->min == wide->min && narrow->max == wide->max;
    const bool is_quantized_behind = std::ranges::any_of(analysis.quantizers, [&](const auto& q) {
      return is_activation(q) && q.layer == layer.name;
    });
    if (!is_shared && !is_quantized_behind) continue;
    const double times = width_of(*wide) / width_of(*narrow);
    if (times < kUnequalInputs) continue;
    found.push_back({times,
                     {.subject = layer.name,
                      .text = fmt::format("what it concatenates has one range, and {} is {:.1f} "
                                          "times as wide as {}, which gets few of the codes",
                                          wide->name, times, narrow->name),
                      .remedies = {"rung qat"}}});
  }
  return found;
}

std::optional<Weighted> few_negatives(const Quantizer& each) {
  const Statistics& s = each.statistics;
  const bool is_signed = each.symmetry == "symmetric" || each.symmetry == "strict_symmetric";
  if (!is_activation(each) || !each.codes || !is_signed || !(s.max > 0.0) ||
      -s.min >= kNegative * s.max)
    return {};
  return Weighted{
      s.max / std::max(-s.min, 1e-30),
      {.text = fmt::format("half of its codes are for negative numbers, and the least of its "
                           "numbers is {:.3g}, the largest {:.3g}: a bit is lost",
                           s.min, s.max),
       .remedies = {"--config default"}}};
}

std::optional<Weighted> outliers(const Quantizer& each) {
  if (!is_activation(each) || !each.codes) return {};
  const double most = width_of(each);
  double range = 0.0;  // that the quantizer has
  for (std::size_t c = 0; c < each.min.size(); ++c)
    range = std::max(range, double{each.max[c]} - each.min[c]);
  if (!(most > 0.0) || range / most < kOutliers) return {};
  return Weighted{
      range / most,
      {.text = fmt::format("its range is {:.1f} times as wide as 99.8 % of its numbers need: few "
                           "outliers take the codes of all others",
                           range / most),
       .remedies = {"--scheme sqnr", "--scheme percentile --percentile 99.9"}}};
}

std::optional<Weighted> unequal_channels(const Quantizer& each) {
  const double spread = each.statistics.channel_spread;
  if (each.per_channel || is_activation(each) || spread < kUnequalChannels) return {};
  return Weighted{spread,
                  {.text = fmt::format("its largest channel is {:.1f} times the one in the middle, "
                                       "and all have one scale",
                                       spread),
                   .remedies = {"--config per_channel"}}};
}

std::optional<Weighted> clipped(const Quantizer& each) {
  if (!each.codes) return {};
  const double share = each.codes->clipped_below + each.codes->clipped_above;
  if (share < kClipped || each.codes->clipping_mse < each.codes->rounding_mse) return {};
  std::vector<std::string> remedies = {"--scheme tf"};
  if (is_activation(each)) remedies.emplace_back("--calibration-images 4096");
  return Weighted{share,
                  {.text = fmt::format("{:.1f} % of its numbers lie outside its range, and cost "
                                       "more than rounding does",
                                       100 * share),
                   .remedies = std::move(remedies)}};
}

std::optional<Weighted> unused_codes(const Quantizer& each) {
  if (!each.codes || each.bitwidth > 8 || each.codes->used >= kUsedCodes ||
      static_cast<double>(each.statistics.count) < 16.0 * std::exp2(each.bitwidth))
    return {};
  return Weighted{1.0 - each.codes->used,
                  {.text = fmt::format("only {:.0f} % of its {} codes occur",
                                       100 * each.codes->used, 1 << each.bitwidth),
                   .remedies = {"--scheme sqnr"}}};
}

std::optional<Weighted> dead_channels(const Quantizer& each) {
  const auto channels = static_cast<double>(each.statistics.channel_min.size());
  const auto dead = static_cast<double>(each.statistics.dead_channels);
  // A batch norm's weight has one number per channel, which cannot change.
  if (each.statistics.count <= std::ssize(each.statistics.channel_min)) return {};
  if (channels == 0.0 || dead / channels < kDeadChannels) return {};
  return Weighted{dead / channels,
                  {.text = fmt::format("{:.0f} of its {:.0f} channels never change: they cost time "
                                       "and do nothing",
                                       dead, channels)}};
}

std::optional<Weighted> ties(const Quantizer& each) {
  if (!each.codes || each.codes->ties < kTies) return {};
  return Weighted{each.codes->ties,
                  {.text = fmt::format("{:.1f} % of its numbers lie in the middle between two "
                                       "codes: other machines may round them the other way",
                                       100 * each.codes->ties)}};
}

}  // namespace

std::vector<Finding> findings(const Analysis& analysis, std::size_t most) {
  std::vector<Finding> all;
  for (const Rule& rule :
       {Rule(one_sided), Rule(sensitive_layers), Rule(starved_last_layer), for_quantizers(outliers),
        for_quantizers(few_negatives), Rule(unequal_inputs), for_quantizers(unequal_channels),
        for_quantizers(clipped), for_quantizers(unused_codes), for_quantizers(dead_channels),
        for_quantizers(ties)}) {
    std::vector<Weighted> found = rule(analysis);
    std::ranges::stable_sort(found, std::ranges::greater{}, &Weighted::first);
    for (std::size_t i = 0; i < std::min(most, found.size()); ++i)
      all.push_back(std::move(found[i].second));
  }
  return all;
}

}  // namespace rung::analysis
