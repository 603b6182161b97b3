#include "quantsim/placement/placement.h"

#include <algorithm>
#include <iterator>

#include "core/check.h"
#include "quantsim/parameter_key.h"
#include "quantsim/placement/config_rules.h"
#include "quantsim/placement/config_warnings.h"
#include "quantsim/placement/neighbourhood.h"
#include "quantsim/placement/supergroups.h"
#include "quantsim/placement/target.h"
#include "quantsim/placement/units.h"
#include "quantsim/placement/version_rules.h"
#include "rung/quant/registry.h"

// AIMET's order of precedence; a later level overrides an earlier one:
//   0  everything off and asymmetric        6  model_output   (can switch on again)
//   1  defaults                             7  per channel: op_type, else defaults
//   2  params                               8  precisions: options, supported_kernels
//   3  op_type, over the rule about         9  rules of hw_version
//      ops that only move numbers          10  rules of the version (config.rules)
//   4  supergroups (only switch off), and batch norms that could be folded
//   5  model_input (can switch on again)

namespace rung::quantsim {

namespace {

/// One level of precedence: within it nobody may contradict anybody.
class Level {
 public:
  /// Sets what the setting with this JSON path, asked for by an op, says about these sites.
  void set(const SiteList& sites, Setting<bool> Site::*setting, bool value, const std::string& path,
           const Node& asker) {
    auto& asked = asked_[setting == &Site::enabled ? 0 : setting == &Site::symmetric ? 1 : 2];
    for (const auto& [site, is_neighbour] : sites) {
      const auto [entry, is_new] = asked.try_emplace(site, Asked{value, path, &asker});
      const Asked& first = entry->second;
      require(is_new || first.value == value,
              "quantization configuration: {} of [{} {}] and {} of [{} {}] want opposite settings "
              "for one quantizer",
              first.path, first.asker->type(), first.asker->name(), path, asker.type(),
              asker.name());
      (site->*setting)
          .set(value, is_neighbour ? fmt::format("{} of {}", path, asker.name()) : path);
    }
  }

 private:
  struct Asked {
    bool value;
    std::string path;
    const Node* asker;
  };
  std::map<const Site*, Asked> asked_[3];
};

void apply_op(const OpConfig& config, const std::string& path, const Node& node,
              const Neighbourhood& near, Level& level) {
  if (config.is_input_quantized.value_or(false))
    level.set(near.own_inputs(node), &Site::enabled, true, path + ".is_input_quantized", node);
  if (config.is_output_quantized)
    level.set(*config.is_output_quantized ? near.own_outputs(node) : near.around_outputs(node),
              &Site::enabled, *config.is_output_quantized, path + ".is_output_quantized", node);
  if (config.is_symmetric) {
    SiteList sites = near.around_inputs(node);
    std::ranges::copy(near.around_outputs(node), std::back_inserter(sites));
    level.set(sites, &Site::symmetric, *config.is_symmetric, path + ".is_symmetric", node);
  }
  if (config.encoding_constraints)
    for (const auto& [site, is_neighbour] : near.own_outputs(node))
      site->constraints = config.encoding_constraints;
}

void apply_param(const ParamConfig& config, const std::string& path, const SiteList& sites,
                 const Node& node, Level& level) {
  if (config.is_quantized)
    level.set(sites, &Site::enabled, *config.is_quantized, path + ".is_quantized", node);
  if (config.is_symmetric)
    level.set(sites, &Site::symmetric, *config.is_symmetric, path + ".is_symmetric", node);
}

void apply_params(const std::map<std::string, ParamConfig>& params, const std::string& path,
                  const Node& node, const Neighbourhood& near, Level& level) {
  for (const Value* value : node.inputs()) {
    if (!is_quantizable_parameter(*value)) continue;
    const auto found = params.find(std::string(parameter_key(*value)));
    if (found != params.end())
      apply_param(found->second, path + "." + found->first, {{&near.placement().at(*value)}}, node,
                  level);
  }
}

void apply_model_ends(const QuantSimConfig& config, const Neighbourhood& near) {
  if (config.is_model_input_quantized)
    for (const Value* input : near.graph().inputs())
      for (const Use& use : input->uses())
        near.placement()
            .input(*use.node, use.index)
            .enabled.set(true, "model_input.is_input_quantized");
  if (config.is_model_output_quantized)
    for (const Value* output : near.graph().outputs())
      if (output->producer() != nullptr)
        near.placement().at(*output).enabled.set(true, "model_output.is_output_quantized");
}

/// Whatever the settings say, truth values are no numbers on a grid.
void spare_truth_values(const Neighbourhood& near) {
  for (const Node* node : near.graph().nodes()) {
    if (node->op().traits().result != Result::truth) continue;
    switch_off(near.around_outputs(*node), fmt::format("{} gives truth values", node->name()));
  }
}

const OpConfig* find_op(const QuantSimConfig& config, std::string_view type) {
  const auto found = config.op_type.find(std::string(type));
  return found == config.op_type.end() ? nullptr : &found->second;
}

void apply_op_types(const QuantSimConfig& config, const Units& units, const Neighbourhood& near) {
  Level level;
  for (const Node* node : near.graph().nodes()) {
    const std::string_view type = units.type_of(*node);
    const OpConfig* op = find_op(config, type);
    if (op == nullptr) continue;
    const std::string path = op_type_path(type);
    apply_op(*op, path, *node, near, level);
    apply_params(op->params, path + ".params", *node, near, level);
  }
}

void apply_per_channel(const QuantSimConfig& config, const Units& units,
                       const Neighbourhood& near) {
  const std::vector<Node*> nodes = near.graph().nodes();
  for (const Node* node : nodes)
    for (const auto& [site, is_neighbour] : near.parameters(*node))
      site->per_channel.set(config.per_channel_quantization, "defaults.per_channel_quantization");
  // Runtimes add and multiply numbers of one scale each.
  for (const Node* node : nodes)
    if (node->op().traits().arithmetic)
      for (const auto& [site, is_neighbour] : near.parameters(*node))
        site->per_channel.set(false, fmt::format("constants of {} have one scale", node->type()));
  Level level;
  for (const Node* node : nodes) {
    const std::string_view type = units.type_of(*node);
    const OpConfig* op = find_op(config, type);
    if (op != nullptr && op->per_channel_quantization)
      level.set(near.parameters(*node), &Site::per_channel, *op->per_channel_quantization,
                op_type_path(type) + ".per_channel_quantization", *node);
  }
}

}  // namespace

Placement::Placement(const Graph& graph) {
  for (const Value* value : graph.values()) values_[value];
  for (const Node* node : graph.nodes())
    for (std::size_t i = 0; i < node->inputs().size(); ++i) edges_[{node, i}];
}

Site& Placement::input(const Node& node, std::size_t index) {
  const Value& value = *node.inputs()[index];
  return is_quantizable_parameter(value) ? at(value) : edges_.at({&node, index});
}

bool is_quantizable_parameter(const Value& value) {
  if (value.parameter() == nullptr) return false;
  const Role role = value.parameter()->role();
  return role == Role::weight || role == Role::bias || role == Role::norm;
}

std::string op_type_path(std::string_view type) { return fmt::format("op_type[\"{}\"]", type); }

Placement decide_placement(const Graph& graph, const QuantSimConfig& config,
                           const QuantSimOptions& options) {
  Placement placement(graph);
  const Neighbourhood near(graph, placement, config.rules);
  const Units units(graph, config);
  const std::vector<Node*> nodes = graph.nodes();

  Level defaults, params;
  for (const Node* node : nodes) {
    apply_op(config.default_ops, "defaults.ops", *node, near, defaults);
    apply_param(config.default_params, "defaults.params", near.parameters(*node), *node, defaults);
  }
  for (const Node* node : nodes) apply_params(config.params, "params", *node, near, params);
  spare_data_movement(config, near);
  apply_op_types(config, units, near);
  apply_supergroups(config, units, near);
  apply_model_ends(config, near);
  quantize_constant_factors(config, near);
  spare_truth_values(near);
  apply_per_channel(config, units, near);
  placement.warnings = config_warnings(config, graph);
  assign_precisions(config, options, near);
  apply_hardware_rules(config, near);
  spare_constant_products(config, units, near);
  spare_reused_layers(config, units, near);
  set_symmetric_constraints(config, near);
  share_quantizers(config, near);
  return placement;
}

/// Returns the axis of the output channels; 0 where the op that reads the parameter has none.
std::int64_t channel_axis(const Value& parameter) {
  const std::int64_t rank = parameter.shape().rank();
  if (parameter.uses().empty() || rank < 2) return 0;
  const Use& use = parameter.uses()[0];
  const std::optional<Weighted> weighted = use.node->op().traits().weighted;
  if (!weighted || use.index != weighted->weight) return 0;
  return weighted->output_axis < 0 ? weighted->output_axis + rank : weighted->output_axis;
}

std::unique_ptr<Quantizer> quantizer_for(const Site& place, const Value& tensor,
                                         const QuantSimConfig& config,
                                         const QuantSimOptions& options) {
  const Site& site = settings_of(place);
  const KernelPrecision& precision = site.precision.value;
  if (precision == KernelPrecision{16, true}) return std::make_unique<FloatQuantizer>(kFloat16);
  QuantizerOptions settings{
      .bitwidth = precision.bitwidth,
      .stochastic_rounding = options.rounding_mode == RoundingMode::stochastic,
      .grid_rules = grid_rules(config.rules)};
  if (site.symmetric.value)
    settings.symmetry = config.strict_symmetric     ? Symmetry::strict_symmetric
                        : config.unsigned_symmetric ? Symmetry::unsigned_symmetric
                                                    : Symmetry::symmetric;
  if (site.per_channel.value && tensor.parameter() != nullptr && tensor.shape().rank() > 0) {
    settings.axis = channel_axis(tensor);
    settings.channels = tensor.shape()[*settings.axis];
  }
  return make_quantizer(options.quant_scheme.quantizer, settings);
}

}  // namespace rung::quantsim
