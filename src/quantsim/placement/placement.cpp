#include "quantsim/placement/placement.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>

#include "core/check.h"
#include "core/join.h"
#include "quantsim/parameter_key.h"
#include "quantsim/placement/config_rules.h"
#include "quantsim/placement/config_warnings.h"
#include "quantsim/placement/neighbourhood.h"
#include "quantsim/placement/target.h"
#include "rung/graph/pattern.h"
#include "rung/ops/foldable_batch_norms.h"
#include "rung/quant/registry.h"

// AIMET's order of precedence; a later level overrides an earlier one:
//   0  everything off and asymmetric        6  model_output   (can switch on again)
//   1  defaults                             7  per channel: op_type, else defaults
//   2  params                               8  precisions: options, supported_kernels
//   3  op_type                              9  rules of hw_version
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

void switch_off(const SiteList& sites, const std::string& rule) {
  for (const auto& [site, is_neighbour] : sites)
    if (site->enabled.value) site->enabled.set(false, rule);
}

/// Nothing is quantized inside a group of ops that hardware runs as one.
void apply_supergroup(const std::vector<std::string>& types, const std::string& path,
                      const Neighbourhood& near, const ChainOptions& options) {
  for (const Chain& chain : find_chains(near.graph(), types, options)) {
    std::vector<std::string_view> names;
    for (const Node* node : chain) names.push_back(node->name());
    const std::string rule = fmt::format("{} {}: inside ({})", path, join(types), join(names));
    for (const Node* node : chain) {
      if (node != chain.front()) switch_off(near.own_inputs(*node), rule);
      if (node != chain.back()) switch_off(near.own_outputs(*node), rule);
    }
  }
}

/// Leaves a batch norm and its layer as they will be after folding: one op with one output.
void apply_foldable_pair(const FoldablePair& pair, const Neighbourhood& near) {
  const std::string rule =
      fmt::format("{} can be folded into {}", pair.batch_norm->name(), pair.layer->name());
  switch_off(near.own_inputs(*pair.batch_norm), rule);
  switch_off(near.parameters(*pair.batch_norm), rule);
  Setting<bool>& layer = near.placement().at(pair.layer->output()).enabled;
  Setting<bool>& norm = near.placement().at(pair.batch_norm->output()).enabled;
  const std::string_view layers = layer.rule();
  if (!layers.empty() || norm.value)
    norm.set(layer.value, layers.empty() ? rule : fmt::format("{}; {}", layers, rule));
  if (layer.value) layer.set(false, rule);
}

void apply_supergroups(const QuantSimConfig& config, const Neighbourhood& near) {
  // Batch norms that can be folded are not seen, so that folding them changes no placement.
  const std::vector<FoldablePair> pairs = find_foldable_batch_norms(near.graph());
  std::set<const Node*> foldable;
  for (const FoldablePair& pair : pairs) foldable.insert(pair.batch_norm);
  const ChainOptions options = {
      .transparent = [&](const Node& node) { return foldable.contains(&node); }};

  // Longest first, as AIMET: the order only matters for which one is named as the reason.
  std::vector<std::size_t> order(config.supergroups.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater{},
                           [&](std::size_t i) { return config.supergroups[i].size(); });
  for (const std::size_t i : order)
    apply_supergroup(config.supergroups[i], fmt::format("supergroups[{}]", i), near, options);
  for (const FoldablePair& pair : pairs) apply_foldable_pair(pair, near);
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

const OpConfig* find_op(const QuantSimConfig& config, const Node& node) {
  const auto found = config.op_type.find(std::string(node.type()));
  return found == config.op_type.end() ? nullptr : &found->second;
}

void apply_per_channel(const QuantSimConfig& config, const Neighbourhood& near) {
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
    const OpConfig* op = find_op(config, *node);
    if (op != nullptr && op->per_channel_quantization)
      level.set(near.parameters(*node), &Site::per_channel, *op->per_channel_quantization,
                op_type_path(node->type()) + ".per_channel_quantization", *node);
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
  return value.parameter() != nullptr ? at(value) : edges_.at({&node, index});
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
  const Neighbourhood near(graph, placement);
  const std::vector<Node*> nodes = graph.nodes();

  Level defaults, params, op_type;
  for (const Node* node : nodes) {
    apply_op(config.default_ops, "defaults.ops", *node, near, defaults);
    apply_param(config.default_params, "defaults.params", near.parameters(*node), *node, defaults);
  }
  for (const Node* node : nodes) apply_params(config.params, "params", *node, near, params);
  for (const Node* node : nodes) {
    const OpConfig* op = find_op(config, *node);
    if (op == nullptr) continue;
    const std::string path = op_type_path(node->type());
    apply_op(*op, path, *node, near, op_type);
    apply_params(op->params, path + ".params", *node, near, op_type);
  }
  apply_supergroups(config, near);
  apply_model_ends(config, near);
  spare_truth_values(near);
  apply_per_channel(config, near);
  placement.warnings = config_warnings(config, graph);
  assign_precisions(config, options, near);
  apply_hardware_rules(config, near);
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

std::unique_ptr<Quantizer> quantizer_for(const Site& site, const Value& tensor,
                                         const QuantSimConfig& config,
                                         const QuantSimOptions& options) {
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
