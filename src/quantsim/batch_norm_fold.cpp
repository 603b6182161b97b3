// Batch norms folded in simulation. W * gamma / sigma is what the weight's quantizer sees:
//
//   x ------------------------------> Conv -> FoldedBatchNormalization -> ...
//   weight -> FoldedWeight -> qdq ----^ ^
//   bias ---> FoldedBias -> (qdq) ------+
//
// fold_simulated_batch_norms() writes what FoldedWeight and FoldedBias compute into weight and
// bias, and takes the three nodes out.

#include "quantsim/batch_norm_fold.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "core/format.h"
#include "rung/exec/executor.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quantsim/batch_norm_fold.h"

namespace rung {

namespace {

/// Returns what stands in front of the quantizer of a layer's input, if it has one.
Value& unquantized(Value& input) {
  Node* producer = input.producer();
  const bool quantized = producer != nullptr && producer->as<QuantizeDequantize>() != nullptr;
  return quantized ? *producer->inputs()[0] : input;
}

std::string quantizer_name(const Value& value) { return value.name() + ".qdq"; }

/// The nodes of one simulated folding and the numbers it computes.
struct Folding {
  Node *layer = nullptr, *weight = nullptr, *bias = nullptr, *norm = nullptr;
  Tensor weight_numbers = {}, bias_numbers = {};
};

/// Returns the FoldedWeight or FoldedBias that a layer's input comes from, of a parameter that
/// nobody else reads.
template <typename T>
Node& producer_of(const Node& layer, std::size_t input, const Node& norm) {
  Node* node =
      input < layer.inputs().size() ? unquantized(*layer.inputs()[input]).producer() : nullptr;
  const bool fits =
      node != nullptr && node->as<T>() != nullptr && quantsim::is_parameter(node->output()) &&
      std::ranges::all_of(node->inputs()[0]->uses(),
                          [&](const Use& use) { return use.node == node || use.node == &norm; });
  require(fits, "[{} {}] input {} of [{} {}] must come from a {} of a parameter of its own",
          norm.type(), norm.name(), input, layer.type(), layer.name(), T().type());
  return *node;
}

Tensor finite_numbers(const Node& fold, const Node& norm) {
  Tensor numbers = quantsim::parameter_numbers(fold.output());
  for (const float number : std::as_const(numbers).data())
    require(std::isfinite(number),
            "fold_simulated_batch_norms: {} has an element {}: [{} {}] cannot be folded",
            fold.name(), number, norm.type(), norm.name());
  return numbers;
}

Folding find_folding(Node& norm) {
  Folding folding{.layer = norm.inputs()[0]->producer(), .norm = &norm};
  require(folding.layer != nullptr, "[{} {}] must stand behind a layer", norm.type(), norm.name());
  folding.weight = &producer_of<FoldedWeight>(*folding.layer, 1, norm);
  folding.bias = &producer_of<FoldedBias>(*folding.layer, 2, norm);
  folding.weight_numbers = finite_numbers(*folding.weight, norm);
  folding.bias_numbers = finite_numbers(*folding.bias, norm);
  return folding;
}

/// Makes a copy of the quantizer behind `value` that is called after it, and removes the old one.
void rename_quantizer(Graph& graph, Node& old, Value& value) {
  auto op = std::make_unique<QuantizeDequantize>(*old.as<QuantizeDequantize>());
  const std::string name = quantizer_name(value);
  const std::vector<Value*> extra = add_quantizer_parameters(graph, op->quantizer(), name);
  const std::vector<Parameter*> from = quantizer_parameters(old);
  for (std::size_t i = 0; i < extra.size(); ++i) {
    extra[i]->parameter()->edit().copy_from(from[i]->value());
    extra[i]->parameter()->set_requires_grad(from[i]->requires_grad());
  }
  graph.insert_after(value, std::move(op), extra, name);
  graph.bypass_node(old);
}

void fold(Graph& graph, const Folding& folding) {
  const auto [layer, weight, bias, norm, weight_numbers, bias_numbers] = folding;
  Parameter& layer_bias = *bias->inputs()[0]->parameter();
  weight->inputs()[0]->parameter()->edit().copy_from(weight_numbers);
  layer_bias.edit().copy_from(bias_numbers);
  // It now does the work of beta.
  if (norm->inputs()[2]->parameter()->requires_grad()) layer_bias.set_requires_grad(true);

  Node* quantizer = nullptr;
  for (const Use& use : norm->output().uses())
    if (use.index == 0 && use.node->name() == quantizer_name(norm->output())) quantizer = use.node;
  Value& output = layer->output();
  for (Node* node : {weight, bias, norm}) graph.bypass_node(*node);
  if (quantizer != nullptr && quantizer->as<QuantizeDequantize>() != nullptr)
    rename_quantizer(graph, *quantizer, output);
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
  for (Node* node : graph.nodes())
    if (node->as<FoldedBatchNormalization>() != nullptr) foldings.push_back(find_folding(*node));
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

Tensor parameter_numbers(const Value& value) {
  if (value.parameter() != nullptr) return value.parameter()->value();
  const Node& node = *value.producer();
  Graph graph;  // of this node alone
  std::vector<Value*> inputs;
  for (const Value* input : node.inputs())
    inputs.push_back(&graph.add_parameter(input->name(), input->parameter()->value(),
                                          input->parameter()->role()));
  Node& copy = graph.add_node(node.op().clone(), inputs, node.name());
  graph.set_outputs(std::vector<Value*>{&copy.output()});
  Executor executor(graph);
  return executor.forward(std::span<const Tensor>{}, Mode::eval).at(0);
}

std::vector<FoldablePair> prepare_folding(Graph& graph) {
  const std::vector<FoldablePair> pairs = find_foldable_batch_norms(graph);
  for (const FoldablePair& pair : pairs) {
    Node& layer = *pair.layer;
    if (layer.inputs().size() > 2) continue;
    Value& bias = graph.add_parameter(layer.name() + ".bias",
                                      Tensor(pair.batch_norm->inputs()[2]->shape()), Role::bias);
    bias.parameter()->set_requires_grad(false);  // beta is trained
    graph.append_input(layer, bias);
  }
  return pairs;
}

void simulate_folding(Graph& graph, const std::vector<FoldablePair>& pairs) {
  for (const auto& [layer, norm] : pairs) {
    require(norm->inputs()[0] == &layer->output(),
            "[{} {}] cannot be folded in simulation: something stands between it and [{} {}]",
            norm->type(), norm->name(), layer->type(), layer->name());
    const auto* op = norm->as<BatchNormalization>();
    Value *gamma = norm->inputs()[1], *beta = norm->inputs()[2], *mean = norm->inputs()[3],
          *variance = norm->inputs()[4];
    Value &weight = unquantized(*layer->inputs()[1]), &bias = unquantized(*layer->inputs()[2]);

    auto folded_weight = std::make_unique<FoldedWeight>();
    folded_weight->epsilon = op->epsilon;
    graph.insert_after(weight, std::move(folded_weight), std::vector{gamma, variance},
                       weight.name() + ".folded");
    auto folded_bias = std::make_unique<FoldedBias>();
    folded_bias->epsilon = op->epsilon;
    folded_bias->frozen = op->frozen;
    graph.insert_after(bias, std::move(folded_bias), std::vector{gamma, beta, mean, variance},
                       bias.name() + ".folded");
    auto folded_norm = std::make_unique<FoldedBatchNormalization>();
    folded_norm->epsilon = op->epsilon;
    folded_norm->momentum = op->momentum;
    folded_norm->frozen = op->frozen;
    const std::string name = norm->name();
    graph.bypass_node(*norm);
    graph.insert_after(layer->output(), std::move(folded_norm),
                       std::vector{gamma, beta, mean, variance, &bias}, name);
  }
}

Graph folded_copy(const Graph& graph) {
  Graph copy = graph.clone();
  fold_simulated_batch_norms(copy);
  return copy;
}

}  // namespace quantsim
}  // namespace rung
