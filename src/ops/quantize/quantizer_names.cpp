#include "ops/quantize/quantizer_names.h"

#include "core/check.h"
#include "rung/ops/folded_batch_norm.h"

namespace rung {
namespace {

constexpr std::string_view kSuffix = ".qdq";

/// True for what FoldedWeight and FoldedBias make of a parameter.
bool is_folded(const Node* producer) {
  return producer != nullptr &&
         (producer->as<FoldedWeight>() != nullptr || producer->as<FoldedBias>() != nullptr);
}

}  // namespace

std::string quantizer_name(const Value& value) { return value.name() + std::string(kSuffix); }

std::string quantizer_name(const Use& edge) {
  return fmt::format("{}.input{}{}", edge.node->name(), edge.index, kSuffix);
}

std::string_view quantized_name(std::string_view node) {
  return has_quantizer_suffix(node) ? node.substr(0, node.size() - kSuffix.size()) : node;
}

bool has_quantizer_suffix(std::string_view node) { return node.ends_with(kSuffix); }

QuantizerPlace place_by_name(std::string_view node, const Value& source) {
  const bool is_of_all = quantized_name(node) == source.name();
  const Parameter* parameter = source.parameter();
  // A constant that is no weight is quantized for its reader, as activations are.
  const bool is_constant_factor =
      parameter != nullptr && parameter->role() == Role::buffer && !is_of_all;
  if ((parameter != nullptr && !is_constant_factor) || is_folded(source.producer()))
    return QuantizerPlace::parameter;
  return is_of_all ? QuantizerPlace::value : QuantizerPlace::edge;
}

}  // namespace rung
