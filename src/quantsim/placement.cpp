#include "quantsim/placement.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "core/format.h"
#include "rung/graph/pattern.h"

// AIMET's order of precedence; a later level overrides an earlier one:
//   0  everything off and asymmetric        5  model_input    (can switch on again)
//   1  defaults                             6  model_output   (can switch on again)
//   2  params                               7  per channel: op_type, else defaults
//   3  op_type
//   4  supergroups (only switch off), and batch norms that could be folded

namespace rung::quantsim {

namespace {

using SiteList = std::vector<Site*>;

/// The neighbourhood rule: which sites a setting of an op touches. To quantize its input is the
/// op's own business; not to quantize it also concerns the producer and the other readers.
class Neighbourhood {
 public:
  Neighbourhood(const Graph& graph, Placement& placement) : graph_(graph), placement_(placement) {}

  SiteList own_inputs(const Node& node) const {
    SiteList sites;
    for (std::size_t i = 0; i < node.inputs().size(); ++i)
      if (node.inputs()[i]->parameter() == nullptr) sites.push_back(&at(node).inputs[i]);
    return sites;
  }
  SiteList own_outputs(const Node& node) const {
    SiteList sites;
    for (Site& site : at(node).outputs) sites.push_back(&site);
    return sites;
  }
  SiteList around_inputs(const Node& node) const {
    SiteList sites;
    for (const Value* value : node.inputs()) {
      if (value->parameter() != nullptr) continue;
      if (value->producer() != nullptr)
        sites.push_back(&at(*value->producer()).outputs[value->output_index()]);
      add_readers(*value, sites);
    }
    return sites;
  }
  SiteList around_outputs(const Node& node) const {
    SiteList sites = own_outputs(node);
    for (const Value* value : node.outputs()) add_readers(*value, sites);
    return sites;
  }
  SiteList parameters(const Node& node) const {
    SiteList sites;
    for (std::size_t i = 0; i < node.inputs().size(); ++i)
      if (is_quantizable_parameter(*node.inputs()[i])) sites.push_back(&at(node).inputs[i]);
    return sites;
  }
  NodeSites& at(const Node& node) const { return placement_.at(&node); }
  const Graph& graph() const { return graph_; }

 private:
  void add_readers(const Value& value, SiteList& sites) const {
    for (const Use& use : value.uses()) sites.push_back(&at(*use.node).inputs[use.index]);
  }

  const Graph& graph_;
  Placement& placement_;
};

/// One level of precedence: within it nobody may contradict anybody.
class Level {
 public:
  explicit Level(std::string_view name) : name_(name) {}

  void set(const SiteList& sites, bool Site::*setting, bool value, const Node& asker) {
    auto& asked = setting == &Site::enabled ? enabled_ : symmetric_;
    for (Site* site : sites) {
      const auto [entry, is_new] = asked.try_emplace(site, value, &asker);
      require(is_new || entry->second.first == value,
              "quantization configuration: {}: [{} {}] and [{} {}] ask for opposite values of {} "
              "of a tensor between them",
              name_, entry->second.second->type(), entry->second.second->name(), asker.type(),
              asker.name(), setting == &Site::enabled ? "is_quantized" : "is_symmetric");
      site->*setting = value;
    }
  }

 private:
  std::string_view name_;
  std::map<Site*, std::pair<bool, const Node*>> enabled_, symmetric_;
};

void apply_op(const OpConfig& config, const Node& node, const Neighbourhood& near, Level& level) {
  if (config.is_input_quantized.value_or(false))
    level.set(near.own_inputs(node), &Site::enabled, true, node);
  if (config.is_output_quantized)
    level.set(*config.is_output_quantized ? near.own_outputs(node) : near.around_outputs(node),
              &Site::enabled, *config.is_output_quantized, node);
  if (config.is_symmetric) {
    level.set(near.around_inputs(node), &Site::symmetric, *config.is_symmetric, node);
    level.set(near.around_outputs(node), &Site::symmetric, *config.is_symmetric, node);
  }
  if (config.encoding_constraints)
    for (Site* site : near.own_outputs(node)) site->constraints = config.encoding_constraints;
}

void apply_param(const ParamConfig& config, const SiteList& sites, const Node& node, Level& level) {
  if (config.is_quantized) level.set(sites, &Site::enabled, *config.is_quantized, node);
  if (config.is_symmetric) level.set(sites, &Site::symmetric, *config.is_symmetric, node);
}

void apply_params(const std::map<std::string, ParamConfig>& params, const Node& node,
                  const Neighbourhood& near, Level& level) {
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    if (!is_quantizable_parameter(*node.inputs()[i])) continue;
    const auto found = params.find(std::string(parameter_key(*node.inputs()[i])));
    if (found != params.end()) apply_param(found->second, {&near.at(node).inputs[i]}, node, level);
  }
}

void switch_off(const SiteList& sites) {
  for (Site* site : sites) site->enabled = false;
}

/// Nothing is quantized inside a group of ops that hardware runs as one. Batch norms that can be
/// folded are not seen, so that folding them later does not change what is quantized.
void apply_supergroups(const QuantSimConfig& config, const Neighbourhood& near) {
  std::set<const Node*> foldable;
  const std::vector<FoldablePair> pairs = find_foldable_batch_norms(near.graph());
  for (const FoldablePair& pair : pairs) foldable.insert(pair.batch_norm);
  const ChainOptions options = {
      .transparent = [&](const Node& n) { return foldable.contains(&n); }};

  for (const std::vector<std::string>& types : config.supergroups)
    for (const Chain& chain : find_chains(near.graph(), types, options))
      for (const Node* node : chain) {
        if (node != chain.front()) switch_off(near.own_inputs(*node));
        if (node != chain.back()) switch_off(near.own_outputs(*node));
      }
  for (const auto& [layer, norm] : pairs) {
    switch_off(near.own_inputs(*norm));
    switch_off(near.parameters(*norm));
    near.at(*norm).outputs[0].enabled = near.at(*layer).outputs[0].enabled;
    near.at(*layer).outputs[0].enabled = false;
  }
}

void apply_model_ends(const QuantSimConfig& config, const Neighbourhood& near) {
  if (config.is_model_input_quantized)
    for (const Value* input : near.graph().inputs())
      for (const Use& use : input->uses()) near.at(*use.node).inputs[use.index].enabled = true;
  if (config.is_model_output_quantized)
    for (const Value* output : near.graph().outputs())
      if (output->producer() != nullptr)
        near.at(*output->producer()).outputs[output->output_index()].enabled = true;
}

}  // namespace

bool is_quantizable_parameter(const Value& value) {
  if (value.parameter() == nullptr) return false;
  const Role role = value.parameter()->role();
  return role == Role::weight || role == Role::bias || role == Role::norm;
}

std::string_view parameter_key(const Value& value) {
  const std::string_view name = value.name();
  return name.substr(name.rfind('.') + 1);  // npos + 1 is 0: the whole name
}

Placement decide_placement(const Graph& graph, const QuantSimConfig& config) {
  Placement placement;
  const std::vector<Node*> nodes = graph.nodes();
  for (const Node* node : nodes)
    placement[node] = {std::vector<Site>(node->inputs().size()),
                       std::vector<Site>(node->outputs().size())};
  const Neighbourhood near(graph, placement);

  Level defaults("defaults"), params("params"), op_type("op_type");
  for (const Node* node : nodes) {
    apply_op(config.default_ops, *node, near, defaults);
    apply_param(config.default_params, near.parameters(*node), *node, defaults);
  }
  for (const Node* node : nodes) apply_params(config.params, *node, near, params);
  for (const Node* node : nodes) {
    const auto found = config.op_type.find(std::string(node->type()));
    if (found == config.op_type.end()) continue;
    apply_op(found->second, *node, near, op_type);
    apply_params(found->second.params, *node, near, op_type);
  }
  apply_supergroups(config, near);
  apply_model_ends(config, near);
  for (const Node* node : nodes) {
    const auto found = config.op_type.find(std::string(node->type()));
    bool per_channel = config.per_channel_quantization;
    if (found != config.op_type.end() && found->second.per_channel_quantization)
      per_channel = *found->second.per_channel_quantization;
    for (Site* site : near.parameters(*node)) site->per_channel = per_channel;
  }
  return placement;
}

}  // namespace rung::quantsim
