#include "quantsim/parameter_key.h"

#include "graph/layer.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::quantsim {

namespace {

bool passes_parameters(const Node& node) {
  return node.as<QuantizeDequantize>() != nullptr || node.as<FoldedWeight>() != nullptr ||
         node.as<FoldedBias>() != nullptr;
}

/// Returns the first use of a value that is none by quantizers or by folding; none if nobody reads.
Use use_of(const Value* value) {
  while (!value->uses().empty()) {
    const Use& use = value->uses()[0];
    if (!passes_parameters(*use.node) || use.index != 0) return use;
    value = &use.node->output();
  }
  return {};
}

constexpr std::size_t kNormBias = 2;  // a normalization reads x, weight, bias

std::string_view key_of(const Value& value, Role role) {
  const Use use = use_of(&value);
  const bool in_layer = use.node != nullptr && is_layer(*use.node);
  const bool in_norm = use.node != nullptr && role == Role::norm;
  const bool is_bias = in_layer  ? use.index == use.node->op().traits().weighted->bias
                       : in_norm ? use.index == kNormBias
                                 : role == Role::bias;
  return is_bias ? "bias" : "weight";
}

}  // namespace

std::string_view parameter_key(const Value& parameter) {
  return key_of(parameter, parameter.parameter()->role());
}

std::string_view parameter_key(const Node& quantizer) {
  const Value* source = quantizer.inputs()[0];
  while (source->parameter() == nullptr && source->producer() != nullptr)
    source = source->producer()->inputs()[0];
  const Role role = source->parameter() != nullptr ? source->parameter()->role() : Role::weight;
  return key_of(quantizer.output(), role);
}

}  // namespace rung::quantsim
