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

}  // namespace rung
