#include "ops/quantize/sharing.h"

#include <algorithm>

#include "rung/ops/quantize_dequantize.h"

namespace rung {

std::vector<Node*> sharing_nodes(Node& quantizer) {
  std::vector<Node*> nodes{&quantizer};
  const auto inputs = quantizer.inputs();
  if (inputs.size() < 2) return nodes;  // a quantizer without parameters
  for (const Use& use : inputs[1]->uses())
    if (use.node->as<QuantizeDequantize>() != nullptr && use.index == 1 && use.node != &quantizer)
      nodes.push_back(use.node);
  return nodes;
}

void share_settings(Node& quantizer) {
  const auto& from = *quantizer.as<QuantizeDequantize>();
  for (Node* node : sharing_nodes(quantizer)) {
    if (node == &quantizer) continue;
    auto& to = *node->as<QuantizeDequantize>();
    to.set_quantizer(from.quantizer().clone());
    to.set_initialized(from.initialized());
    to.set_frozen(from.frozen());
  }
}

}  // namespace rung
