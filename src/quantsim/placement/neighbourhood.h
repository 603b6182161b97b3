#pragma once

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
  Neighbourhood(const Graph& graph, Placement& placement) : graph_(graph), placement_(placement) {}

  SiteList own_inputs(const Node& node) const {
    SiteList sites;
    for (std::size_t i = 0; i < node.inputs().size(); ++i)
      if (node.inputs()[i]->parameter() == nullptr) sites.push_back({&placement_.input(node, i)});
    return sites;
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
};

}  // namespace rung::quantsim
