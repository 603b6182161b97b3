#include <algorithm>
#include <array>
#include <span>

#include "core/check.h"
#include "quantsim/placement/target.h"

// HTP versions treat some op types in their own way, whatever the configuration says about them.

namespace rung::quantsim {

namespace {

/// Every parameter is quantized like the output.
void copy_output_settings(const Node& node, const Neighbourhood& near, const std::string& rule) {
  const Site& output = near.placement().at(node.output());
  for (const auto& [site, is_neighbour] : near.parameters(node)) {
    site->precision.set(output.precision.value, rule);
    site->symmetric.set(output.symmetric.value, rule);
  }
}

/// The second of two activations has 8 bits and is symmetric.
void narrow_second_input(const Node& node, const Neighbourhood& near, const std::string& rule) {
  const auto inputs = node.inputs();
  if (inputs.size() < 2 || inputs[0]->parameter() || inputs[1]->parameter()) return;
  Site* second = near.quantizer_of_input(node, 1);
  if (second == nullptr) return;
  second->precision.set({8, false}, rule);
  second->symmetric.set(true, rule);
}

/// A second input of 16 bits is symmetric, and the first one has 16 bits, too.
void match_wide_inputs(const Node& node, const Neighbourhood& near, const std::string& rule) {
  if (node.inputs().size() < 2) return;
  Site* second = near.quantizer_of_input(node, 1);
  if (second == nullptr || second->precision.value != KernelPrecision{16, false}) return;
  second->symmetric.set(true, rule);
  if (Site* first = near.quantizer_of_input(node, 0)) first->precision.set({16, false}, rule);
}

enum class Versions { up_to_v69, from_v73 };

struct Rule {
  std::string_view op_type;
  Versions versions;
  void (*apply)(const Node& node, const Neighbourhood& near, const std::string& rule);
};

constexpr auto kRules = std::to_array<Rule>({
    {"Embedding", Versions::from_v73, copy_output_settings},
    {"GroupNorm", Versions::from_v73, copy_output_settings},
    {"GroupNormalization", Versions::from_v73, copy_output_settings},  // ONNX's name
    {"MatMul", Versions::up_to_v69, narrow_second_input},
    {"MatMul", Versions::from_v73, match_wide_inputs},
});

constexpr std::string_view kUpToV69[] = {"V66", "V68", "V69"};
constexpr std::string_view kFromV73[] = {"V73", "V75", "V79", "V81", "V85"};

bool contains(std::span<const std::string_view> versions, std::string_view version) {
  return std::ranges::find(versions, version) != versions.end();
}

bool holds(const Rule& rule, std::string_view version) {
  return contains(
      rule.versions == Versions::from_v73 ? std::span<const std::string_view>(kFromV73) : kUpToV69,
      version);
}

/// The weight of a LayerNormalization is asymmetric up to 15 bits.
void apply_layer_norm_rule(const Neighbourhood& near) {
  for (const Node* node : near.graph().nodes()) {
    if (node->type() != "LayerNormalization" || node->inputs().size() < 2) continue;
    Site& weight = near.placement().input(*node, 1);
    if (weight.enabled.value)
      weight.symmetric.set(weight.precision.value.bitwidth >= 16, "rung.asymmetric_layer_norm");
  }
}

}  // namespace

bool is_known_hardware(std::string_view version) {
  return contains(kUpToV69, version) || contains(kFromV73, version);
}

void apply_hardware_rules(const QuantSimConfig& config, const Neighbourhood& near) {
  for (const Node* node : near.graph().nodes())
    for (const Rule& rule : kRules)
      if (rule.op_type == node->type() && holds(rule, config.hw_version))
        rule.apply(*node, near,
                   fmt::format("defaults.hw_version {}: rule of [{} {}]", config.hw_version,
                               node->type(), node->name()));
  if (config.rules.asymmetric_layer_norm) apply_layer_norm_rule(near);
}

}  // namespace rung::quantsim
