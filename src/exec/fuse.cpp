#include "exec/fuse.h"

#include <algorithm>
#include <set>

namespace rung {

std::string FusedNode::name() const {
  return relu ? node->name() + " + " + outputs[0]->producer()->name() : node->name();
}

std::vector<FusedNode> fuse(const Graph& graph, std::span<const std::string> watched,
                            bool enabled) {
  const auto hidden = [&](const Value& value) {  // may the value between two nodes vanish?
    return value.uses().size() == 1 && !graph.is_output(value) &&
           std::ranges::find(watched, value.name()) == watched.end();
  };
  std::vector<FusedNode> fused;
  std::set<const Node*> absorbed;
  for (const Node* node : graph.nodes()) {
    if (absorbed.contains(node)) continue;
    FusedNode made{.node = node,
                   .inputs = {node->inputs().begin(), node->inputs().end()},
                   .outputs = {node->outputs().begin(), node->outputs().end()}};
    const Value& output = node->output();
    if (enabled && node->op().can_fuse_relu() && hidden(output)) {
      const Node* next = output.uses()[0].node;
      if (next->type() == "Relu") {
        made.relu = true;
        made.outputs.assign(next->outputs().begin(), next->outputs().end());
        absorbed.insert(next);
      }
    }
    fused.push_back(std::move(made));
  }
  return fused;
}

}  // namespace rung
