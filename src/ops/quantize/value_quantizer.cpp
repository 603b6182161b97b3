#include "ops/quantize/value_quantizer.h"

#include "rung/ops/quantize_dequantize.h"

namespace rung {

Node* value_quantizer(const Value& value) {
  for (const Use& use : value.uses())
    if (use.index == 0 && use.node->as<QuantizeDequantize>() != nullptr &&
        use.node->as<QuantizeDequantize>()->place() == QuantizerPlace::value)
      return use.node;
  return nullptr;
}

Node* grid_quantizer(const Value& value) {
  for (const Value* at = &value; at->producer() != nullptr; at = at->producer()->inputs()[0]) {
    Node& producer = *at->producer();
    const auto* op = producer.as<QuantizeDequantize>();
    if (op == nullptr && !producer.op().traits().grid_preserving()) return nullptr;
    if (op != nullptr && op->enabled() && !op->quantizer().pass_through()) return &producer;
  }
  return nullptr;
}

}  // namespace rung
