#include "quantsim/placement/units.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/check.h"
#include "quantsim/placement/spelled_out.h"

namespace rung::quantsim {

namespace {

/// Returns why an op that is spelled out counts as one; empty if the configuration does not say so.
std::string rule_for(const SpelledOutOp& op, const QuantSimConfig& config) {
  if (op.pass.empty())
    return config.rules.fuse_activations ? std::string("rung.fuse_activations") : std::string();
  const auto& passes = config.supergroup_passes;
  const auto found = std::ranges::find(passes, op.pass);
  if (!config.rules.run_supergroup_passes || found == passes.end()) return {};
  return fmt::format("supergroup_pass_list[{}] {}", found - passes.begin(), op.pass);
}

/// True if nobody outside reads what the group has inside.
bool is_closed(const Graph& graph, const std::vector<const Node*>& nodes) {
  const std::set<const Node*> group(nodes.begin(), nodes.end());
  for (const Node* node : nodes) {
    if (node == nodes.back()) continue;
    for (const Value* value : node->outputs()) {
      if (graph.is_output(*value)) return false;
      for (const Use& use : value->uses())
        if (!group.contains(use.node)) return false;
    }
  }
  return true;
}

}  // namespace

Units::Units(const Graph& graph, const QuantSimConfig& config) : graph_(graph) {
  std::set<const Node*> taken;
  std::map<const Node*, Unit> spelled_out;  // by the first node
  for (const SpelledOutOp& op : spelled_out_ops()) {
    const std::string rule = rule_for(op, config);
    if (rule.empty()) continue;
    for (const Node* first : graph.nodes()) {
      std::vector<const Node*> nodes = op.find(*first);
      const auto is_taken = [&](const Node* node) { return taken.contains(node); };
      if (nodes.empty() || std::ranges::any_of(nodes, is_taken) || !is_closed(graph, nodes))
        continue;
      taken.insert(nodes.begin(), nodes.end());
      spelled_out[first] = {std::string(op.type), std::move(nodes), rule};
    }
  }
  for (const Node* node : graph.nodes()) {
    const auto found = spelled_out.find(node);
    if (found == spelled_out.end() && taken.contains(node)) continue;
    units_.push_back(found != spelled_out.end() ? std::move(found->second)
                                                : Unit{std::string(node->type()), {node}});
    for (const Node* each : units_.back().nodes) unit_of_[each] = &units_.back();
  }
}

std::vector<const Unit*> Units::all() const {
  std::vector<const Unit*> all;
  for (const Unit& unit : units_) all.push_back(&unit);
  return all;
}

const Unit* Units::only_reader(const Unit& unit) const {
  if (unit.last().outputs().size() != 1 || graph_.is_output(unit.output())) return nullptr;
  const Unit* reader = nullptr;
  for (const Use& use : unit.output().uses()) {
    const Unit* each = &of(*use.node);
    if (reader != nullptr && reader != each) return nullptr;
    reader = each;
  }
  // A node that reads the value twice is two readers, as ever.
  return reader != nullptr && (reader->is_spelled_out() || unit.output().uses().size() == 1)
             ? reader
             : nullptr;
}

bool is_known_pass(std::string_view name) {
  return !name.empty() && std::ranges::any_of(spelled_out_ops(), [&](const SpelledOutOp& op) {
    return op.pass == name;
  });
}

}  // namespace rung::quantsim
