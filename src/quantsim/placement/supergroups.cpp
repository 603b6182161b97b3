#include "quantsim/placement/supergroups.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/join.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/foldable_batch_norms.h"
#include "rung/ops/ops.h"

// Hardware runs some ops as one: nothing is quantized inside.

namespace rung::quantsim {

bool is_depthwise_or_3d(const Node& node) {
  const auto* conv = node.as<Conv>();
  const auto* transposed = node.as<ConvTranspose>();
  if (conv == nullptr && transposed == nullptr) return false;
  const Shape& weight = node.inputs()[1]->shape();
  if (weight.rank() == 5) return true;
  if (conv != nullptr) return conv->groups > 1 && weight[1] == 1;
  return transposed->groups > 1 && transposed->groups == weight[0];
}

namespace {

using UnitChain = std::vector<const Unit*>;

class Supergroups {
 public:
  Supergroups(const QuantSimConfig& config, const Units& units, const Neighbourhood& near)
      : config_(config), units_(units), near_(near) {}

  void apply() {
    // Batch norms that can be folded are not seen, so that folding them changes no placement.
    const std::vector<FoldablePair> pairs = find_foldable_batch_norms(near_.graph());
    for (const FoldablePair& pair : pairs) unseen_.insert(&units_.of(*pair.batch_norm));

    // Longest first, as AIMET.
    std::vector<std::size_t> order(config_.supergroups.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, std::greater{},
                             [&](std::size_t i) { return config_.supergroups[i].size(); });
    for (const std::size_t i : order) apply_list(i);
    for (const FoldablePair& pair : pairs) apply_foldable_pair(pair);
    for (const Unit* unit : units_.all())
      if (unit->is_spelled_out())
        switch_off_inside(unit->nodes, fmt::format("{}: inside {}", unit->rule, names(*unit)));
  }

 private:
  static std::string names(const Unit& unit) {
    std::vector<std::string_view> names;
    for (const Node* node : unit.nodes) names.push_back(node->name());
    return fmt::format("{} ({})", unit.type, join(names));
  }

  const Unit* next_in_chain(const Unit& unit) const {
    const Unit* next = units_.only_reader(unit);
    while (next != nullptr && unseen_.contains(next)) next = units_.only_reader(*next);
    return next;
  }

  /// Returns the units of these types from `first` on; nothing if there are others.
  UnitChain chain_from(const Unit& first, const std::vector<std::string>& types) const {
    if (first.type != types[0] || unseen_.contains(&first)) return {};
    if (!config_.rules.fuse_depthwise && is_depthwise_or_3d(first.first())) return {};
    UnitChain chain = {&first};
    while (chain.size() < types.size()) {
      const Unit* next = next_in_chain(*chain.back());
      if (next == nullptr || next->type != types[chain.size()]) return {};
      chain.push_back(next);
    }
    return chain;
  }

  void apply_list(std::size_t index) {
    const std::vector<std::string>& types = config_.supergroups[index];
    for (const Unit* first : units_.all()) {
      const UnitChain chain = chain_from(*first, types);
      if (chain.empty()) continue;
      if (config_.rules.disjoint_supergroups) {
        if (std::ranges::any_of(chain, [&](const Unit* unit) { return matched_.contains(unit); }))
          continue;
        matched_.insert(chain.begin(), chain.end());
      }
      std::vector<std::string_view> names;
      for (const Unit* unit : chain) names.push_back(unit->last().name());
      const std::string rule =
          fmt::format("supergroups[{}] {}: inside ({})", index, join(types), join(names));
      for (const Unit* unit : chain) {
        for (const Node* node : unit->nodes)
          if (unit != chain.front()) switch_off(near_.own_inputs(*node), rule);
        if (unit != chain.back()) switch_off(near_.own_outputs(unit->last()), rule);
      }
    }
  }

  void switch_off_inside(const std::vector<const Node*>& nodes, const std::string& rule) const {
    for (const Node* node : nodes) {
      if (node == nodes.back()) continue;
      switch_off(near_.around_outputs(*node), rule);
    }
    if (units_.of(*nodes.back()).type == "Gemm") switch_off(near_.parameters(*nodes.back()), rule);
  }

  /// Leaves a batch norm and its layer as they will be after folding: one op with one output.
  void apply_foldable_pair(const FoldablePair& pair) const {
    const std::string rule =
        fmt::format("{} can be folded into {}", pair.batch_norm->name(), pair.layer->name());
    switch_off(near_.own_inputs(*pair.batch_norm), rule);
    switch_off(near_.parameters(*pair.batch_norm), rule);
    Setting<bool>& layer = near_.placement().at(pair.layer->output()).enabled;
    Setting<bool>& norm = near_.placement().at(pair.batch_norm->output()).enabled;
    const std::string_view layers = layer.rule();
    if (!layers.empty() || norm.value)
      norm.set(layer.value, layers.empty() ? rule : fmt::format("{}; {}", layers, rule));
    if (layer.value) layer.set(false, rule);
  }

  const QuantSimConfig& config_;
  const Units& units_;
  const Neighbourhood& near_;
  std::set<const Unit*> unseen_, matched_;
};

}  // namespace

void apply_supergroups(const QuantSimConfig& config, const Units& units,
                       const Neighbourhood& near) {
  Supergroups(config, units, near).apply();
}

}  // namespace rung::quantsim
