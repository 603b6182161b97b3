#include "exec/fuse.h"

#include <algorithm>
#include <set>

#include "rung/graph/pattern.h"

namespace rung {

namespace {

bool learns(const Node& quantizer) {
  return std::ranges::any_of(quantizer.inputs().subspan(1), [](const Value* value) {
    return value->parameter() != nullptr && value->parameter()->requires_grad();
  });
}

}  // namespace

std::string FusedNode::name() const {
  std::string name = node->name();
  if (relu) name += " + " + (quantizer ? quantizer->inputs()[0] : outputs[0])->producer()->name();
  if (quantizer) name += " + " + quantizer->name();
  return name;
}

std::vector<FusedNode> fuse(const Graph& graph, std::span<const std::string> watched, Mode mode,
                            bool enabled) {
  std::vector<FusedNode> fused;
  std::set<const Node*> absorbed;
  for (const Node* node : graph.nodes()) {
    if (absorbed.contains(node)) continue;
    FusedNode made{.node = node,
                   .inputs = {node->inputs().begin(), node->inputs().end()},
                   .outputs = {node->outputs().begin(), node->outputs().end()}};
    const Node* last = node;
    // Returns the node behind the chain if it may join it.
    const auto next = [&]() -> const Node* {
      if (!enabled || std::ranges::find(watched, last->output().name()) != watched.end())
        return nullptr;
      return only_consumer(graph, *last);
    };
    const auto join = [&](const Node& node) {
      last = &node;
      made.outputs.assign(node.outputs().begin(), node.outputs().end());
      absorbed.insert(&node);
    };
    if (node->op().can_fuse_relu())
      if (const Node* relu = next(); relu != nullptr && relu->type() == "Relu") {
        made.relu = true;
        join(*relu);
      }
    if (mode == Mode::train)
      if (const Node* quantizer = next(); quantizer != nullptr && quantizer->op().can_be_fused() &&
                                          node->op().can_fuse_quantizer(learns(*quantizer))) {
        made.quantizer = quantizer;
        const auto parameters = quantizer->inputs().subspan(1);
        made.inputs.insert(made.inputs.end(), parameters.begin(), parameters.end());
        join(*quantizer);
      }
    fused.push_back(std::move(made));
  }
  return fused;
}

}  // namespace rung
