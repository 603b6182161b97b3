#include "quantsim/parameter_key.h"

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

bool is_layer(std::string_view type) {
  return type == "Conv" || type == "ConvTranspose" || type == "Gemm";
}

std::string_view key_of(const Value& value, Role role) {
  const Use use = use_of(&value);
  const bool by_position =
      use.node != nullptr && (is_layer(use.node->type()) || role == Role::norm);
  const bool is_bias = by_position ? use.index == 2 : role == Role::bias;
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
