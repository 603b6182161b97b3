#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"
#include "core/join.h"
#include "quantsim/impl.h"
#include "quantsim/placement/placement.h"
#include "rung/quantsim/quantsim.h"

// The configuration decides again, on the float network inside the sim, and is compared with the
// quantizers that are there: what differs was changed by hand. Where it never decided anything, the
// quantizers that are there are all that is known.

namespace rung {

namespace {

using quantsim::Placement;
using quantsim::Site;

class Reasons {
 public:
  Reasons(const Graph& model, const Placement& placement, const QuantizationSimModel& sim)
      : model_(model),
        placement_(placement),
        config_(sim.config()),
        options_(sim.options()),
        is_imported_(sim.is_imported()) {
    // Handles are for changing, so they want a graph that may change; nothing is changed here.
    const auto quantizers = find_quantizers(sim.graph());
    for (const QuantizerHandle& each : quantizers) left_.emplace(each.name(), each);
    for (const Value* value : model.values()) name_of_[&placement.at(*value)] = value->name();
  }

  std::vector<PlacementReason> collect() {
    for (const Node* node : model_.nodes()) {
      for (std::size_t i = 0; i < node->inputs().size(); ++i) add_input(*node, i);
      for (const Value* value : node->outputs())
        add(*value, value->name(), QuantizerPlace::value, placement_.at(*value));
    }
    for (const Value* value : model_.values())
      if (value->uses().empty() && value->producer() == nullptr)
        add(*value, value->name(), place_of(*value), placement_.at(*value));
    const auto added = left_;  // by hand: the configuration knows no such place
    for (const auto& [name, quantizer] : added)
      add(quantizer.source(), name, quantizer.place(), Site{});
    return std::move(reasons_);
  }

 private:
  static QuantizerPlace place_of(const Value& value) {
    return value.parameter() != nullptr ? QuantizerPlace::parameter : QuantizerPlace::value;
  }

  void add_input(const Node& node, std::size_t index) {
    const Value& value = *node.inputs()[index];
    const Site& site = placement_.input(node, index);
    const std::string name = fmt::format("{}.input{}", node.name(), index);
    const bool was_wanted =
        std::ranges::any_of(site.enabled.steps, [](const auto& step) { return step.value; });
    const bool is_on_edge = was_wanted || left_.contains(name);
    const bool is_constant = value.parameter() != nullptr && !is_on_edge;
    if (quantsim::is_quantizable_parameter(value) || is_constant) {
      if (seen_.insert(&value).second) add(value, value.name(), QuantizerPlace::parameter, site);
      return;
    }
    // An edge matters if it is where an input of the network comes in, or was ever to be quantized.
    if (value.is_input() || is_on_edge) add(value, name, QuantizerPlace::edge, site);
  }

  void add(const Value& tensor, const std::string& name, QuantizerPlace place, const Site& site) {
    PlacementReason reason{.tensor = tensor.name(), .quantizer = name, .place = place};
    const auto add_rule = [&](std::string_view setting, bool is_quantized) {
      PlacementRule& rule = reason.rules.emplace_back();
      rule.setting = setting;
      rule.is_quantized = is_quantized;
    };
    for (const auto& [value, rule] : site.enabled.steps) add_rule(rule, value);
    if (is_imported_)
      add_rule(left_.contains(name) ? "the imported file has one" : "the imported file has none",
               left_.contains(name));
    if (tensor.parameter() != nullptr && !quantsim::is_quantizable_parameter(tensor) &&
        !site.enabled.value)
      add_rule("statistics have no quantizer", false);
    const auto found = left_.find(name);
    if (found != left_.end()) {
      describe(found->second, site, tensor, reason);
      left_.erase(found);
    } else if (site.enabled.value) {
      reason.by_hand = "removed by hand";
    }
    reasons_.push_back(std::move(reason));
  }

  static std::string_view format_of(const Quantizer& quantizer) {
    const auto* floating = dynamic_cast<const FloatQuantizer*>(&quantizer);
    return floating != nullptr ? floating->format().name : std::string_view();
  }

  void describe(const QuantizerHandle& quantizer, const Site& site, const Value& tensor,
                PlacementReason& reason) const {
    const Quantizer& settings = quantizer.op().quantizer();
    reason.is_present = true;
    reason.is_enabled = quantizer.enabled();
    reason.bitwidth = quantizer.bitwidth();
    reason.symmetry = quantizer.symmetry();
    reason.per_channel = settings.axis().has_value();
    reason.format = format_of(settings);
    const Site& decided = quantsim::settings_of(site);
    reason.precision_rule = decided.precision.rule();
    reason.symmetric_rule = decided.symmetric.rule();
    if (tensor.parameter() != nullptr) reason.per_channel_rule = decided.per_channel.rule();
    if (site.owner != nullptr) {
      reason.shared_with = name_of_.at(site.owner);
      reason.sharing_rule = site.sharing_rule;
    }
    if (is_imported_) {
      if (!reason.is_enabled) reason.by_hand = "disabled by hand";
      return;
    }
    if (!site.enabled.value) {
      reason.by_hand = "added by hand";
      return;
    }
    const std::unique_ptr<Quantizer> wanted =
        quantsim::quantizer_for(site, tensor, config_, options_);
    std::vector<std::string_view> changed;
    const bool is_same_kind = settings.kind() == wanted->kind();
    if (to_string(settings) != to_string(*wanted)) changed.push_back("kind");
    if (is_same_kind && reason.bitwidth != wanted->bitwidth()) changed.push_back("bitwidth");
    if (is_same_kind && reason.symmetry != wanted->symmetry()) changed.push_back("symmetry");
    if (settings.granularity() != wanted->granularity()) changed.push_back("granularity");
    if (!changed.empty())
      reason.by_hand = fmt::format("{} changed by hand", join(changed, " and "));
    if (!reason.is_enabled)
      reason.by_hand += reason.by_hand.empty() ? "disabled by hand" : ", disabled by hand";
  }

  const Graph& model_;
  const Placement& placement_;
  const QuantSimConfig& config_;
  const QuantSimOptions& options_;
  bool is_imported_;
  std::map<std::string, QuantizerHandle> left_;  // quantizers that no reason speaks about yet
  std::map<const Site*, std::string> name_of_;   // what the quantizer there is called
  std::set<const Value*> seen_;
  std::vector<PlacementReason> reasons_;
};

}  // namespace

std::string PlacementReason::state() const {
  if (!is_present) return "none";
  const std::string numbers =
      format.empty() ? fmt::format("{} bit {}", bitwidth, to_string(symmetry)) : format;
  return fmt::format("quantizer {}{}{}", numbers, per_channel ? " per channel" : "",
                     is_enabled ? "" : " disabled");
}

std::string PlacementReason::why() const {
  std::string text = rules.empty() ? "no setting asks for one" : rules.back().setting;
  std::vector<std::string> more;
  for (std::size_t i = rules.size(); i-- > 1;)
    if (rules[i - 1].is_quantized != rules.back().is_quantized)
      more.push_back("over " + rules[i - 1].setting);
  const bool is_usual = precision_rule.empty() || precision_rule.starts_with("default_");
  if (is_present && !is_usual) more.push_back("bits: " + precision_rule);
  if (is_present && format.empty() && !symmetric_rule.empty())
    more.push_back("symmetry: " + symmetric_rule);
  if (is_present && per_channel && !per_channel_rule.empty())
    more.push_back("per channel: " + per_channel_rule);
  if (is_present && !shared_with.empty())
    more.push_back(fmt::format("one with {}: {}", shared_with, sharing_rule));
  if (!more.empty()) text += fmt::format(" ({})", join(more, "; "));
  return by_hand.empty() ? text : fmt::format("{}, but {}", text, by_hand);
}

std::vector<std::string> QuantizationSimModel::warnings() const {
  if (impl_->is_imported) return {};
  const Graph model = get_original_model();
  return quantsim::decide_placement(model, impl_->config, impl_->options).warnings;
}

std::vector<PlacementReason> QuantizationSimModel::placement_reasons() const {
  const Graph model = get_original_model();
  const Placement placement =
      impl_->is_imported ? Placement(model)
                         : quantsim::decide_placement(model, impl_->config, impl_->options);
  return Reasons(model, placement, *this).collect();
}

}  // namespace rung
