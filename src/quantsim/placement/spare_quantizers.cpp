#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <optional>
#include <string>

#include "core/check.h"
#include "ops/quantize/constant_product.h"
#include "quantsim/placement/version_rules.h"

// Where numbers are on a grid already, or AIMET takes quantizers away for another reason.

namespace rung::quantsim {

namespace {

/// True if the numbers behind the op are numbers of its input and zeros. AIMET does not count the
/// nearest neighbours of a Resize; it counts a Pad with other numbers than 0, whose own numbers
/// have no place on the input's grid: that keeps its quantizer here.
bool only_moves_numbers(const Node& node) {
  return node.op().traits().grid_preserving() && node.type() != "Resize";
}

/// Returns "/relu/Relu" for "/relu_1/Relu"; empty for other names.
std::string first_call(const std::string& name) {
  const std::size_t end = name.rfind('/');
  if (end == std::string::npos || end == 0 || name[0] != '/') return {};
  std::size_t digits = end;
  while (digits > 0 && std::isdigit(static_cast<unsigned char>(name[digits - 1]))) --digits;
  if (digits == end || digits < 2 || name[digits - 1] != '_') return {};
  return name.substr(0, digits - 1) + name.substr(end);
}

/// True if a layer is named like a second call, but has another weight than the first one. Names
/// then lack the modules around them, as those that PyTorch writes of what AIMET's prepare_model
/// makes (/relu_1/Relu for layer1.0.relu), and do not tell which modules are called again.
bool has_short_names(const std::map<std::string, const Unit*>& by_name) {
  const auto weight_of = [](const Unit& unit) -> const Value* {
    const std::optional<Weighted> weighted = unit.last().op().traits().weighted;
    return weighted ? unit.last().inputs()[weighted->weight] : nullptr;
  };
  return std::ranges::any_of(by_name, [&](const auto& each) {
    const auto first = by_name.find(first_call(each.first));
    return first != by_name.end() && weight_of(*first->second) != weight_of(*each.second);
  });
}

}  // namespace

void spare_data_movement(const QuantSimConfig& config, const Neighbourhood& near) {
  if (config.rules.quantize_data_movement) return;
  for (const Node* node : near.graph().nodes())
    if (only_moves_numbers(*node) && !config.op_type.contains(std::string(node->type())))
      switch_off(near.around_outputs(*node), "rung.quantize_data_movement");
}

void quantize_constant_factors(const QuantSimConfig& config, const Neighbourhood& near) {
  if (!config.is_model_input_quantized) return;
  for (const Node* node : near.graph().nodes())
    for (std::size_t i = 0; i < node->inputs().size(); ++i)
      if (near.is_constant_factor(*node, i))
        near.placement().input(*node, i).enabled.set(true, "rung.quantize_constant_factors");
}

void spare_constant_products(const QuantSimConfig& config, const Units& units,
                             const Neighbourhood& near) {
  if (config.rules.quantize_constant_products) return;
  for (const Node* node : near.graph().nodes()) {
    if (units.of(*node).is_spelled_out()) continue;
    const std::optional<ConstantProduct> product = constant_product(*node);
    if (!product || near.quantizer_of_input(*node, product->input) == nullptr) continue;
    switch_off(near.own_outputs(*node), "rung.quantize_constant_products");
  }
}

void set_symmetric_constraints(const QuantSimConfig& config, const Neighbourhood& near) {
  if (!config.rules.symmetric_constraints) return;
  for (const Value* value : near.graph().values()) {
    Site& site = near.placement().at(*value);
    if (site.constraints && site.constraints->is_complete() &&
        *site.constraints->min == -*site.constraints->max)
      site.symmetric.set(true, "rung.symmetric_constraints");
  }
}

void spare_reused_layers(const QuantSimConfig& config, const Units& units,
                         const Neighbourhood& near) {
  if (!config.rules.skip_reused_layers) return;
  std::map<std::string, const Unit*> by_name;
  for (const Unit* unit : units.all()) by_name[unit->last().name()] = unit;
  if (has_short_names(by_name)) return;
  const auto spare = [&](const Unit& unit) {
    for (const Node* node : unit.nodes) {
      SiteList sites = near.own_inputs(*node);
      std::ranges::copy(near.own_outputs(*node), std::back_inserter(sites));
      std::erase_if(sites, [](const Touched& each) {
        return each.site->constraints && each.site->constraints->is_complete();
      });
      switch_off(sites, "rung.skip_reused_layers");
    }
  };
  for (const Unit* unit : units.all()) {
    const auto first = by_name.find(first_call(unit->last().name()));
    if (first == by_name.end() || first->second->type != unit->type) continue;
    const auto has_parameters = [&](const Node* node) { return !near.parameters(*node).empty(); };
    if (std::ranges::any_of(unit->nodes, has_parameters)) continue;
    spare(*first->second);
    spare(*unit);
  }
}

}  // namespace rung::quantsim
