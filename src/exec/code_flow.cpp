#include "exec/code_flow.h"

#include <algorithm>
#include <map>
#include <utility>

namespace rung {
namespace {

/// True for an op that gives codes as it gives the numbers that they stand for: zeros that it adds
/// are zero as codes, too.
bool can_carry(const FusedNode& node) {
  return node.inputs.size() == 1 && node.outputs.size() == 1 && node.joined.empty() &&
         node.node->op().traits().grid_preserving();
}

class CodeFlowFinder {
 public:
  CodeFlowFinder(const Graph& graph, std::span<const FusedNode> nodes,
                 std::span<const std::string> watched)
      : graph_(graph), nodes_(nodes), watched_(watched) {
    for (const FusedNode& node : nodes)
      if (can_carry(node)) carrier_of_[node.outputs[0]] = &node;
  }

  CodeFlow find() {
    for (const FusedNode& node : nodes_)
      if (takes_codes(node)) {
        flow_.takers.insert(node.node);
        need_codes(*node.inputs[0]);
        flow_.codes.insert(node.inputs[1]);
      }
    // From the back: what a carrier moves is needed as real numbers only if its result is.
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
      const bool is_taker = flow_.takers.contains(node->node);
      const bool moves_codes_only = flow_.carriers.contains(node->node) &&
                                    !flow_.real.contains(node->outputs[0]) &&
                                    !is_wanted(*node->outputs[0]);
      for (std::size_t i = 0; i < node->inputs.size(); ++i)
        if (!moves_codes_only && (i >= 2 || !is_taker)) flow_.real.insert(node->inputs[i]);
    }
    for (const Value* value : flow_.codes)
      if (is_wanted(*value)) flow_.real.insert(value);
    return std::move(flow_);
  }

 private:
  /// Returns how many scales the codes of this value have, 0 if it has none.
  std::int64_t code_channels(const Value& value) const {
    const Value* at = &value;
    for (auto carrier = carrier_of_.find(at); carrier != carrier_of_.end();
         carrier = carrier_of_.find(at))
      at = carrier->second->inputs[0];
    return at->producer() == nullptr ? 0 : at->producer()->op().code_channels();
  }

  bool takes_codes(const FusedNode& node) const {
    if (!node.node->op().can_take_codes() || node.inputs.size() < 2) return false;
    const Value& weight = *node.inputs[1];
    const Node* producer = weight.producer();
    const std::int64_t scales = producer == nullptr ? 0 : producer->op().code_channels();
    return code_channels(*node.inputs[0]) == 1 &&
           (scales == 1 || (scales > 0 && scales == weight.shape()[0]));
  }

  /// Notes the value, and what the carriers before it read.
  void need_codes(const Value& value) {
    if (!flow_.codes.insert(&value).second) return;
    const auto carrier = carrier_of_.find(&value);
    if (carrier == carrier_of_.end()) return;
    flow_.carriers.insert(carrier->second->node);
    need_codes(*carrier->second->inputs[0]);
  }

  bool is_wanted(const Value& value) const {
    return graph_.is_output(value) || std::ranges::find(watched_, value.name()) != watched_.end();
  }

  const Graph& graph_;
  std::span<const FusedNode> nodes_;
  std::span<const std::string> watched_;
  std::map<const Value*, const FusedNode*> carrier_of_;  // by what it gives
  CodeFlow flow_;
};

}  // namespace

CodeFlow find_code_flow(const Graph& graph, std::span<const FusedNode> nodes,
                        std::span<const std::string> watched) {
  return CodeFlowFinder(graph, nodes, watched).find();
}

}  // namespace rung
