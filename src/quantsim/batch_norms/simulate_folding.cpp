// Puts the three nodes of a batch norm folded in simulation into a graph, finds them, and takes
// them out again.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "graph/layer.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::quantsim {

namespace {

/// Returns what stands in front of the quantizer of a layer's input, if it has one.
Value& unquantized(Value& input) {
  Node* producer = input.producer();
  const bool quantized = producer != nullptr && producer->as<QuantizeDequantize>() != nullptr;
  return quantized ? *producer->inputs()[0] : input;
}

/// Returns the FoldedWeight or FoldedBias that a layer's input comes from, of a parameter that
/// nobody else reads.
template <typename T>
Node& producer_of(const Node& layer, std::size_t input, const Node& norm) {
  Node* node =
      input < layer.inputs().size() ? unquantized(*layer.inputs()[input]).producer() : nullptr;
  const bool fits = node != nullptr && node->as<T>() != nullptr && is_parameter(node->output()) &&
                    std::ranges::all_of(node->inputs()[0]->uses(), [&](const Use& use) {
                      return use.node == node || use.node == &norm;
                    });
  require(fits, "[{} {}] input {} of [{} {}] must come from a {} of a parameter of its own",
          norm.type(), norm.name(), input, layer.type(), layer.name(), T().type());
  return *node;
}

/// Puts an op behind `value` that reads a batch norm's parameters.
void insert(Graph& graph, Value& value, std::unique_ptr<Op> op, const std::vector<Value*>& extra,
            const std::string& name) {
  graph.insert_after(value, std::move(op), extra, name);
}

}  // namespace

std::vector<FoldablePair> prepare_folding(Graph& graph) {
  std::vector<FoldablePair> pairs = find_foldable_batch_norms(graph);
  // FoldedWeight scales the first axis: these stay batch norms, as BatchNormMode::keep has them.
  std::erase_if(
      pairs, [](const auto& pair) { return pair.layer->op().traits().weighted->output_axis != 0; });
  for (const FoldablePair& pair : pairs) {
    Node& layer = *pair.layer;
    if (bias_value(layer) != nullptr) continue;
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
    const BatchNormalization op = *norm->as<BatchNormalization>();
    Value *gamma = norm->inputs()[1], *beta = norm->inputs()[2], *mean = norm->inputs()[3],
          *variance = norm->inputs()[4];
    Value &weight = unquantized(weight_value(*layer)), &bias = unquantized(*bias_value(*layer));

    auto folded_weight = std::make_unique<FoldedWeight>();
    folded_weight->epsilon = op.epsilon;
    auto folded_bias = std::make_unique<FoldedBias>();
    folded_bias->epsilon = op.epsilon;
    folded_bias->frozen = op.frozen;
    auto folded_norm = std::make_unique<FoldedBatchNormalization>();
    folded_norm->epsilon = op.epsilon;
    folded_norm->momentum = op.momentum;
    folded_norm->frozen = op.frozen;

    insert(graph, weight, std::move(folded_weight), {gamma, variance}, weight.name() + ".folded");
    insert(graph, bias, std::move(folded_bias), {gamma, beta, mean, variance},
           bias.name() + ".folded");
    const std::string name = norm->name();
    graph.bypass_node(*norm);
    insert(graph, layer->output(), std::move(folded_norm), {gamma, beta, mean, variance, &bias},
           name);
  }
}

std::vector<FoldedNodes> find_folded(const Graph& graph) {
  std::vector<FoldedNodes> found;
  for (Node* norm : graph.nodes()) {
    if (norm->as<FoldedBatchNormalization>() == nullptr) continue;
    Node* layer = norm->inputs()[0]->producer();
    require(layer != nullptr, "[{} {}] must stand behind a layer", norm->type(), norm->name());
    const Weighted weighted = layer->op().traits().weighted.value_or(Weighted());
    found.push_back({layer, &producer_of<FoldedWeight>(*layer, weighted.weight, *norm),
                     &producer_of<FoldedBias>(*layer, weighted.bias.value_or(2), *norm), norm});
  }
  return found;
}

void undo_simulated_folding(Graph& graph) {
  for (const auto& [layer, weight, bias, norm] : find_folded(graph)) {
    const auto* folded = norm->as<FoldedBatchNormalization>();
    auto op = std::make_unique<BatchNormalization>();
    op->epsilon = folded->epsilon;
    op->momentum = folded->momentum;
    op->frozen = folded->frozen;
    const std::span<Value* const> inputs = norm->inputs();
    const std::vector<Value*> extra(inputs.begin() + 1, inputs.begin() + 5);
    const std::string name = norm->name();
    Value& output = layer->output();
    graph.bypass_node(*norm);  // FoldedBias still reads its parameters
    insert(graph, output, std::move(op), extra, name);
    graph.bypass_node(*weight);
    graph.bypass_node(*bias);
  }
}

}  // namespace rung::quantsim
