#include "ops/norm/fold.h"

#include "core/check.h"
#include "core/join.h"
#include "graph/layer.h"
#include "rung/ops/foldable_batch_norms.h"

namespace rung {

std::string chain_obstacle(const Graph& graph, const Value& value) {
  if (graph.is_output(value)) return fmt::format("{} is an output of the graph", value.name());
  if (value.uses().empty()) return fmt::format("nobody reads {}", value.name());
  if (value.uses().size() == 1) return {};
  std::vector<std::string> readers;
  for (const Use& use : value.uses()) readers.push_back(use.node->name());
  return fmt::format("{} is read by several nodes: {}", value.name(), join(readers));
}

std::string parameter_obstacle(const Node& node, std::size_t first) {
  for (std::size_t i = first; i < node.inputs().size(); ++i) {
    const Value& input = *node.inputs()[i];
    if (input.parameter() == nullptr)
      return fmt::format("{}, an input of {}, is not a parameter", input.name(), node.name());
    if (input.uses().size() == 1) continue;
    for (const Use& use : input.uses())
      if (use.node != &node)
        return fmt::format("{} is also a parameter of {}", input.name(), use.node->name());
    return fmt::format("{} reads {} twice", node.name(), input.name());
  }
  return {};
}

std::string norm_obstacle(const Node& norm) {
  for (const Value* input : norm.inputs().subspan(1))
    if (input->parameter() == nullptr)
      return fmt::format("{}, an input of {}, is not a parameter", input->name(), norm.name());
  return {};
}

std::string new_bias_name(const Node& layer) { return layer.name() + ".bias"; }

std::string bias_obstacle(const Graph& graph, const Node& layer) {
  if (bias_value(layer) != nullptr || graph.find_value(new_bias_name(layer)) == nullptr) return {};
  return fmt::format("{} needs a bias, and the name {} is taken", layer.name(),
                     new_bias_name(layer));
}

FoldTarget layer_in_front(const Graph& graph, const Node& norm, const NodeSet& skipped) {
  const Value* value = norm.inputs()[0];
  while (true) {
    Node* producer = value->producer();
    if (producer == nullptr)
      return {nullptr, fmt::format("it reads {}, which no layer computes", value->name())};
    const bool is_skipped = skipped.contains(producer);
    if (!is_skipped && !is_layer(*producer))
      return {nullptr, fmt::format("it follows [{} {}], not a Conv or Gemm", producer->type(),
                                   producer->name())};
    const std::string obstacle = chain_obstacle(graph, *value);
    if (!is_skipped) return {producer, obstacle};
    if (!obstacle.empty()) return {nullptr, obstacle};
    value = producer->inputs()[0];
  }
}

FoldTarget backward_fold_target(const Graph& graph, const Node& norm, const NodeSet& skipped) {
  FoldTarget target = layer_in_front(graph, norm, skipped);
  if (target.possible()) target.obstacle = parameter_obstacle(*target.layer);
  if (target.possible()) target.obstacle = norm_obstacle(norm);
  if (target.possible()) target.obstacle = bias_obstacle(graph, *target.layer);
  return target;
}

std::vector<FoldablePair> find_foldable_batch_norms(const Graph& graph) {
  std::vector<FoldablePair> pairs;
  for (Node* node : graph.nodes()) {
    if (node->type() != "BatchNormalization") continue;
    const FoldTarget target = backward_fold_target(graph, *node);
    if (target.possible()) pairs.push_back({target.layer, node});
  }
  return pairs;
}

}  // namespace rung
