// Batch norms folded in simulation. W * gamma / sigma is what the weight's quantizer sees:
//
//   x ------------------------------> Conv -> FoldedBatchNormalization -> ...
//   weight -> FoldedWeight -> qdq ----^ ^
//   bias ---> FoldedBias -> (qdq) ------+
//
// fold_simulated_batch_norms() writes what FoldedWeight and FoldedBias compute into weight and
// bias, and takes the three nodes out.

#include "quantsim/batch_norms/batch_norm_fold.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "core/check.h"
#include "ops/quantize/value_quantizer.h"
#include "quantsim/batch_norms/rename_quantizer.h"
#include "rung/exec/executor.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quantsim/batch_norm_fold.h"

namespace rung {

namespace {

ConstTensor finite_numbers(const Node& fold, const Node& norm) {
  ConstTensor numbers = quantsim::parameter_numbers(fold.output());
  for (const float number : numbers.data())
    require(std::isfinite(number),
            "fold_simulated_batch_norms: {} has an element {}: [{} {}] cannot be folded",
            fold.name(), number, norm.type(), norm.name());
  return numbers;
}

/// A simulated folding and the numbers it computes.
struct Folding {
  quantsim::FoldedNodes nodes;
  ConstTensor weight, bias;
};

Folding compute(const quantsim::FoldedNodes& nodes) {
  return {nodes, finite_numbers(*nodes.weight, *nodes.norm),
          finite_numbers(*nodes.bias, *nodes.norm)};
}

void fold(Graph& graph, const Folding& folding) {
  const auto [layer, weight, bias, norm] = folding.nodes;
  Parameter& layer_bias = *bias->inputs()[0]->parameter();
  weight->inputs()[0]->parameter()->edit().copy_from(folding.weight);
  layer_bias.edit().copy_from(folding.bias);
  // It now does the work of beta.
  if (norm->inputs()[2]->parameter()->requires_grad()) layer_bias.set_requires_grad(true);

  Node* quantizer = value_quantizer(norm->output());
  Value& output = layer->output();
  for (Node* node : {weight, bias, norm}) graph.bypass_node(*node);
  if (quantizer != nullptr) quantsim::rename_quantizer(graph, *quantizer, output);
}

void set_frozen(Graph& graph, bool frozen) {
  for (Node* node : graph.nodes()) {
    if (auto* norm = node->as<BatchNormalization>()) norm->frozen = frozen;
    if (auto* norm = node->as<FoldedBatchNormalization>()) norm->frozen = frozen;
    if (auto* bias = node->as<FoldedBias>()) bias->frozen = frozen;
  }
  graph.touch();
}

}  // namespace

void freeze_bn_stats(Graph& graph) { set_frozen(graph, true); }
void update_bn_stats(Graph& graph) { set_frozen(graph, false); }

std::int64_t fold_simulated_batch_norms(Graph& graph) {
  // Everything that can be wrong is found before the first edit.
  std::vector<Folding> foldings;
  for (const quantsim::FoldedNodes& nodes : quantsim::find_folded(graph))
    foldings.push_back(compute(nodes));
  for (const Folding& folding : foldings) fold(graph, folding);
  return static_cast<std::int64_t>(foldings.size());
}

namespace quantsim {

bool is_parameter(const Value& value) {
  if (value.parameter() != nullptr) return true;
  const Node* node = value.producer();
  return node != nullptr &&
         (node->as<FoldedWeight>() != nullptr || node->as<FoldedBias>() != nullptr) &&
         std::ranges::all_of(node->inputs(), [](const Value* v) { return v->parameter(); });
}

ConstTensor parameter_numbers(const Value& value) {
  if (value.parameter() != nullptr) return value.parameter()->value();
  const Node& node = *value.producer();
  Graph graph;  // of this node alone
  std::vector<Value*> inputs;
  for (const Value* input : node.inputs())
    inputs.push_back(&graph.add_parameter(input->name(), input->parameter()->value().clone(),
                                          input->parameter()->role()));
  Node& copy = graph.add_node(node.op().clone(), inputs, node.name());
  graph.set_outputs(std::vector<Value*>{&copy.output()});
  Executor executor(graph);
  return executor.forward(std::span<const Tensor>{}, Mode::eval).at(0);
}

Graph folded_copy(const Graph& graph) {
  Graph copy = graph.clone();
  fold_simulated_batch_norms(copy);
  return copy;
}

}  // namespace quantsim
}  // namespace rung
