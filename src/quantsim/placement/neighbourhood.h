#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "quantsim/placement/placement.h"

namespace rung::quantsim {

/// A site that a setting of an op touches.
struct Touched {
  Site* site;
  bool is_neighbour = false;  ///< it belongs to another op
};
using SiteList = std::vector<Touched>;

/// The neighbourhood rule: which sites a setting of an op touches. To quantize its input or output
/// is the op's own business; not to quantize it also concerns the producer and the other readers.
class Neighbourhood {
 public:
  Neighbourhood(const Graph& graph, Placement& placement, const ConfigRules& rules)
      : graph_(graph), placement_(placement), rules_(rules) {}

  SiteList own_inputs(const Node& node) const {
    SiteList sites;
    for (std::size_t i = 0; i < node.inputs().size(); ++i)
      if (node.inputs()[i]->parameter() == nullptr || is_constant_factor(node, i))
        sites.push_back({&placement_.input(node, i)});
    return sites;
  }
  /// True if the input is a constant of more than one number that the node multiplies with or
  /// divides by: under rules.quantize_constant_factors it is quantized as activations are.
  bool is_constant_factor(const Node& node, std::size_t index) const {
    const Value& value = *node.inputs()[index];
    return rules_.quantize_constant_factors && value.parameter() != nullptr &&
           value.parameter()->role() == Role::buffer && value.shape().numel() > 1 &&
           (node.type() == "Mul" || node.type() == "Div");
  }
  /// Returns the site of the quantizer that input `index` of `node` comes through: its own if there
  /// is one, else the nearest one upstream; nullptr if there is none.
  Site* quantizer_of_input(const Node& node, std::size_t index) const {
    for (const Node* reader = &node;; index = 0) {
      const Value& value = *reader->inputs()[index];
      if (value.parameter() != nullptr && reader != &node) return nullptr;
      Site& own = placement_.input(*reader, index);
      if (own.enabled.value) return &own;
      if (value.producer() == nullptr) return nullptr;
      Site& output = placement_.at(value);
      if (output.enabled.value) return &output;
      reader = value.producer();
    }
  }
  SiteList own_outputs(const Node& node) const {
    SiteList sites;
    for (const Value* value : node.outputs()) sites.push_back({&placement_.at(*value)});
    return sites;
  }
  SiteList around_inputs(const Node& node) const {
    SiteList sites = own_inputs(node);
    for (const Value* value : node.inputs()) {
      if (value->parameter() != nullptr) continue;
      if (value->producer() != nullptr) sites.push_back({&placement_.at(*value), true});
      add_readers_except(&node, *value, sites);
    }
    return sites;
  }
  SiteList around_outputs(const Node& node) const {
    SiteList sites = own_outputs(node);
    for (const Value* value : node.outputs()) add_readers_except(nullptr, *value, sites);
    return sites;
  }
  SiteList parameters(const Node& node) const {
    SiteList sites;
    for (std::size_t i = 0; i < node.inputs().size(); ++i)
      if (is_quantizable_parameter(*node.inputs()[i]))
        sites.push_back({&placement_.input(node, i)});
    return sites;
  }
  Placement& placement() const { return placement_; }
  const Graph& graph() const { return graph_; }

 private:
  void add_readers_except(const Node* node, const Value& value, SiteList& sites) const {
    for (const Use& use : value.uses())
      if (use.node != node) sites.push_back({&placement_.input(*use.node, use.index), true});
  }

  const Graph& graph_;
  Placement& placement_;
  const ConfigRules& rules_;
};

/// Takes the quantizers of those sites that have one.
inline void switch_off(const SiteList& sites, const std::string& rule) {
  for (const auto& [site, is_neighbour] : sites)
    if (site->enabled.value) site->enabled.set(false, rule);
}

}  // namespace rung::quantsim
