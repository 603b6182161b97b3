#include "exec/code_flow.h"

#include <algorithm>
#include <vector>

namespace rung {
namespace {

/// Returns how many scales the codes of this value have, 0 if its producer gives none.
std::int64_t code_channels(const Value& value) {
  return value.producer() == nullptr ? 0 : value.producer()->op().code_channels();
}

bool takes_codes(const FusedNode& node) {
  if (!node.node->op().can_take_codes() || node.inputs.size() < 2) return false;
  const Value &x = *node.inputs[0], &weight = *node.inputs[1];
  const std::int64_t scales = code_channels(weight);
  return code_channels(x) == 1 && (scales == 1 || (scales > 0 && scales == weight.shape()[0]));
}

}  // namespace

CodeFlow find_code_flow(const Graph& graph, std::span<const FusedNode> nodes,
                        std::span<const std::string> watched) {
  CodeFlow flow;
  for (const FusedNode& node : nodes)
    if (takes_codes(node)) {
      flow.takers.insert(node.node);
      flow.codes.insert({node.inputs[0], node.inputs[1]});
    }
  for (const FusedNode& node : nodes)
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      if (i >= 2 || !flow.takers.contains(node.node)) flow.real.insert(node.inputs[i]);
  for (const Value* value : flow.codes)
    if (graph.is_output(*value) || std::ranges::find(watched, value->name()) != watched.end())
      flow.real.insert(value);
  return flow;
}

}  // namespace rung
