#include "exec/fuse.h"

#include <algorithm>
#include <set>

#include "rung/graph/pattern.h"

namespace rung {

std::string FusedNode::name() const {
  return relu ? node->name() + " + " + outputs[0]->producer()->name() : node->name();
}

std::vector<FusedNode> fuse(const Graph& graph, std::span<const std::string> watched,
                            bool enabled) {
  std::vector<FusedNode> fused;
  std::set<const Node*> absorbed;
  for (const Node* node : graph.nodes()) {
    if (absorbed.contains(node)) continue;
    FusedNode made{.node = node,
                   .inputs = {node->inputs().begin(), node->inputs().end()},
                   .outputs = {node->outputs().begin(), node->outputs().end()}};
    if (enabled && node->op().can_fuse_relu() &&
        std::ranges::find(watched, node->output().name()) == watched.end()) {
      const Node* next = only_consumer(graph, *node);
      if (next != nullptr && next->type() == "Relu") {
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
