#include "rung/graph/pattern.h"

#include "core/check.h"

namespace rung {

namespace {

/// Returns the next visible node behind `node`, stepping over transparent ones.
Node* next_in_chain(const Graph& graph, const Node& node, const ChainOptions& options) {
  Node* next = only_consumer(graph, node);
  while (next != nullptr && options.transparent && options.transparent(*next))
    next = only_consumer(graph, *next);
  return next;
}

}  // namespace

Node* only_consumer(const Graph& graph, const Node& node) {
  if (node.outputs().size() != 1) return nullptr;
  const Value& output = node.output();
  if (output.uses().size() != 1 || graph.is_output(output)) return nullptr;
  return output.uses()[0].node;
}

std::vector<Chain> find_chains(const Graph& graph, const std::vector<std::string>& types,
                               const ChainOptions& options) {
  require(!types.empty(), "find_chains: the list of op types is empty");
  std::vector<Chain> chains;
  for (Node* first : graph.nodes()) {
    if (first->type() != types[0] || (options.transparent && options.transparent(*first))) continue;
    Chain chain = {first};
    while (chain.size() < types.size()) {
      Node* next = next_in_chain(graph, *chain.back(), options);
      if (next == nullptr || next->type() != types[chain.size()]) break;
      chain.push_back(next);
    }
    if (chain.size() == types.size()) chains.push_back(std::move(chain));
  }
  return chains;
}

}  // namespace rung
