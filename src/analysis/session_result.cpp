// What a session has found, as the plain structure.

#include <algorithm>
#include <cmath>

#include "analysis/session.h"
#include "core/check.h"

namespace rung::analysis {

Levels Session::levels(const Evaluate& evaluate) {
  const std::string& metric = options_.level_metric;
  if (!evaluate)
    return {metric, nothing_.metric(metric), only_weights_.metric(metric),
            only_activations_.metric(metric), everything_.metric(metric)};
  const auto score = [&](const QuantizerSet& enabled) {
    enable_only(graph_, enabled);
    ++score_calls_;
    return evaluate(*plain_);
  };
  Levels levels{"score"};
  levels.nothing = score({});
  levels.weights = score(parameters_);
  levels.activations = score(activations_);
  levels.everything = score(all_);
  return levels;
}

Sensitivity Session::sensitivity(const std::string& name, const Switched& each) const {
  Sensitivity result{.name = name,
                     .alone = each.alone.metric(options_.metric),
                     .all_but = each.all_but.metric(options_.metric),
                     .alone_error = each.alone.error(),
                     .all_but_error = each.all_but.error()};
  for (const WatchedQuantizer& quantizer : quantizers_)
    if (each.nodes.contains(quantizer.handle.node().name()))
      result.quantizers.push_back(quantizer.handle.name());
  return result;
}

void Session::add_bitwidths(Layer& layer, const WatchedLayer& watched, const Switched& each) const {
  const double signal = each.alone.differences().expected;
  const double now = each.alone.differences().noise;
  const double network = everything_.differences().noise;
  for (const int bitwidth : {4, 8, 16}) {
    const double then = now * watched.noise_at(bitwidth);
    const std::int64_t bytes = (watched.quantized_parameters() * bitwidth + 7) / 8;
    layer.at_bitwidths.push_back(
        {.bitwidth = bitwidth,
         .weight_bytes = bytes,
         .saved_bytes = watched.weight_bytes() - bytes,
         .alone_sqnr_db = decibels(signal, then),
         .network_sqnr_db = decibels(signal, std::max(network - now, 0.0) + then)});
  }
}

void Session::fill_layers(Analysis& analysis) {
  for (const WatchedLayer& watched : layers_) {
    Layer& layer = analysis.layers.emplace_back(watched.result());
    std::erase_if(layer.inputs, [&](const std::string& name) {  // a weight made of parameters
      return graph_.find_node(name) != nullptr &&
             std::ranges::find(layers_, name, &WatchedLayer::name) == layers_.end();
    });
    const auto found = seconds_.find(layer.name);
    if (found != seconds_.end())
      layer.seconds = found->second / static_cast<double>(std::max<std::int64_t>(timed_images_, 1));
    const auto own = std::ranges::find(
        by_layer_, layer.name, [](const auto& each) -> const std::string& { return each.first; });
    if (own != by_layer_.end()) add_bitwidths(layer, watched, *own->second);
  }
}

std::int64_t Session::macs_of(const EndingPlan& plan) const {
  std::int64_t macs = 0;
  for (const WatchedLayer& layer : layers_)
    if (plan.nodes.contains(layer.name())) macs += layer.macs();
  return macs;
}

Cost Session::cost() const {
  Cost cost{.images = images_, .score_calls = score_calls_};
  for (const WatchedLayer& layer : layers_) cost.network_macs += layer.macs();
  double shared = 0.0;
  for (const Switched& each : switched_) shared += 2.0 * static_cast<double>(macs_of(each.plan));
  const double whole = whole_passes_ / static_cast<double>(images_);
  cost.passes = whole + shared / static_cast<double>(std::max<std::int64_t>(cost.network_macs, 1));
  cost.passes_without_sharing = whole + 2.0 * static_cast<double>(switched_.size());
  return cost;
}

Analysis Session::result(const Evaluate& evaluate) {
  require(images_ > 0, "analysis: there is no batch to analyze");
  Analysis analysis{
      .metric = options_.metric, .levels = levels(evaluate), .outputs = everything_.error()};
  for (const auto& [name, each] : by_layer_)
    analysis.layers_sensitivity.push_back(sensitivity(name, *each));
  for (const auto& [name, each] : by_quantizer_)
    analysis.quantizers_sensitivity.push_back(sensitivity(name, *each));
  for (const auto& [name, each] : by_group_)
    analysis.groups_sensitivity.push_back(sensitivity(name, *each));
  fill_layers(analysis);
  for (const WatchedQuantizer& each : quantizers_) analysis.quantizers.push_back(each.result());
  if (confusion_) analysis.confusion = Confusion{.counts = confusion_->compute()};
  analysis.cost = cost();
  return analysis;
}

}  // namespace rung::analysis
