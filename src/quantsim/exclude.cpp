#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/check.h"
#include "ops/quantize/value_quantizer.h"
#include "quantsim/impl.h"
#include "quantsim/parameter_key.h"
#include "quantsim/quantizer_nodes.h"
#include "rung/core/closest.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

bool is_quantizer(const Node& node) { return node.as<QuantizeDequantize>() != nullptr; }

/// Returns the nodes of a layer: the one of this name, those whose names begin with it and a dot,
/// and batch norms folded into them in simulation. Throws Error with close names if there is none.
std::vector<Node*> nodes_of(const Graph& graph, const std::string& layer) {
  std::vector<Node*> nodes;
  std::vector<std::string> names;
  for (Node* node : graph.nodes()) {
    if (is_quantizer(*node)) continue;
    // Weights that are folded in simulation are no layers.
    if (node->as<FoldedWeight>() != nullptr || node->as<FoldedBias>() != nullptr) continue;
    names.push_back(node->name());
    if (node->name() == layer || node->name().starts_with(layer + ".")) nodes.push_back(node);
  }
  require(!nodes.empty(),
          "exclude_layers_from_quantization: there is no layer '{}'; similar ones: {}", layer,
          closest_names(layer, names));
  // A batch norm folded in simulation passes the layer's output on.
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const Use& use : nodes[i]->output().uses())
      if (use.node->as<FoldedBatchNormalization>() != nullptr && use.index == 0)
        nodes.push_back(use.node);
  return nodes;
}

/// Returns the quantizers on the inputs and parameters of a node, and behind its outputs.
std::set<Node*> quantizers_of(const Node& node, const std::set<const Node*>& excluded) {
  std::set<Node*> found;
  for (const Value* input : node.inputs()) {
    // Quantizers may stand behind each other: one of the value, then one of the edge.
    for (Node* before = input->producer(); before != nullptr && is_quantizer(*before);
         before = before->inputs()[0]->producer()) {
      const QuantizerHandle quantizer(*before);
      if (quantizer.place() == QuantizerPlace::value) break;  // its producer's
      for (const Use& use : before->output().uses())
        require(excluded.contains(use.node) || found.contains(use.node),
                "exclude_layers_from_quantization: the parameter {} of {} is read by {}, too; "
                "exclude both",
                quantizer.name(), node.name(), use.node->name());
      found.insert(before);
    }
  }
  for (const Value* output : node.outputs())
    if (Node* behind = value_quantizer(*output)) found.insert(behind);
  return found;
}

}  // namespace

void QuantizationSimModel::exclude_layers_from_quantization(const std::vector<std::string>& names) {
  Graph& graph = impl_->graph;
  std::set<const Node*> layers;
  for (const std::string& name : names)
    for (const Node* node : nodes_of(graph, name)) layers.insert(node);
  std::set<Node*> quantizers;
  for (const Node* node : layers) quantizers.merge(quantizers_of(*node, layers));

  for (Node* quantizer : quantizers) graph.bypass_node(*quantizer);
  std::vector<std::string>& record = impl_->excluded_layers;
  record.insert(record.end(), names.begin(), names.end());
  std::ranges::sort(record);
  record.erase(std::unique(record.begin(), record.end()), record.end());
}

void QuantizationSimModel::exclude_param_from_quantization(std::string_view name) {
  std::set<std::string> known;
  std::vector<QuantizerHandle> chosen;
  for (const QuantizerHandle& each : quantizers()) {
    if (each.place() != QuantizerPlace::parameter) continue;
    const std::string key(quantsim::parameter_key(each.node()));
    known.insert(key);
    if (key == name) chosen.push_back(each);
  }
  require(!chosen.empty(),
          "exclude_param_from_quantization: no quantized parameter is called '{}'; there are {}",
          name, fmt::join(known, ", "));
  for (QuantizerHandle& each : chosen) each.disable();
}

}  // namespace rung
