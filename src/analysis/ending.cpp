#include "analysis/ending.h"

#include <algorithm>

#include "core/check.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::analysis {
namespace {

/// What of the network can be reached from some nodes, with or against the direction of the data.
using Nodes = std::set<const Node*>;

Nodes behind(const Graph& graph, const QuantizerSet& quantizers) {
  Nodes found;
  for (const std::string& name : quantizers) found.insert(&graph.node(name));
  for (const Node* node : graph.nodes())  // producers come before consumers
    for (const Value* input : node->inputs())
      if (input->producer() != nullptr && found.contains(input->producer())) found.insert(node);
  return found;
}

Nodes before(const Graph& graph) {
  Nodes found;
  std::vector<const Value*> open(graph.outputs().begin(), graph.outputs().end());
  while (!open.empty()) {
    const Node* node = open.back()->producer();
    open.pop_back();
    if (node == nullptr || !found.insert(node).second) continue;
    open.insert(open.end(), node->inputs().begin(), node->inputs().end());
  }
  return found;
}

/// Nodes that depend on an input of the network: what others compute is part of the parameters.
Nodes on_data(const Graph& graph) {
  Nodes found;
  for (const Node* node : graph.nodes())
    for (const Value* input : node->inputs())
      if (input->is_input() || (input->producer() != nullptr && found.contains(input->producer())))
        found.insert(node);
  return found;
}

}  // namespace

EndingPlan::EndingPlan(const Graph& graph, const QuantizerSet& quantizers) {
  const Nodes changed = behind(graph, quantizers), needed = before(graph), data = on_data(graph);
  std::vector<const Node*> open;
  for (const Node* node : graph.nodes())
    if (changed.contains(node) && needed.contains(node)) open.push_back(node);
  std::set<std::string> begins;
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (!nodes.insert(node->name()).second) continue;
    for (const Value* input : node->inputs()) {
      if (input->parameter() != nullptr) continue;
      const Node* producer = input->producer();
      if (producer == nullptr) {
        begins.insert(input->name());
      } else if (!changed.contains(producer)) {
        // What codes come from and go through runs again, and what makes parameters is extracted
        // with its readers.
        const bool goes_on = producer->as<QuantizeDequantize>() != nullptr ||
                             producer->op().traits().grid_preserving();
        if (goes_on) open.push_back(producer);
        if (!goes_on && data.contains(producer)) begins.insert(input->name());
      }
    }
  }
  inputs.assign(begins.begin(), begins.end());
  for (const Value* output : graph.outputs())
    if (output->producer() != nullptr && changed.contains(output->producer()) &&
        std::ranges::find(outputs, output->name()) == outputs.end())
      outputs.push_back(output->name());
}

Ending::Ending(const Graph& graph, const EndingPlan& plan, const std::vector<std::string>& watched)
    : graph_(graph.extract(plan.inputs, plan.outputs)), executor_(graph_), inputs_(plan.inputs) {
  std::vector<std::string> computed;
  for (const std::string& name : watched) {
    const Value* value = graph_.find_value(name);
    if (value != nullptr && value->producer() != nullptr) computed.push_back(name);
  }
  executor_.watch(std::move(computed));
}

std::vector<Tensor> Ending::run(const Values& values, const QuantizerSet& enabled) {
  enable_only(graph_, enabled);
  std::vector<Tensor> inputs;
  for (const std::string& name : inputs_) inputs.push_back(values.at(name));
  return executor_.forward(inputs);
}

std::size_t Ending::bytes() const {
  // What plans keep of a parameter: quantized, its codes, and in the order that kernels want.
  constexpr std::int64_t kCopies = 3;
  std::int64_t numbers = 0;
  for (const Parameter* parameter : graph_.parameters()) numbers += parameter->value().numel();
  return static_cast<std::size_t>(stats(executor_.plan()).arena_bytes +
                                  kCopies * numbers * static_cast<std::int64_t>(sizeof(float)));
}

bool Ending::has(const std::string& value) const {
  return std::ranges::find(executor_.watched(), value) != executor_.watched().end();
}

}  // namespace rung::analysis
