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
  if (source.parameter() != nullptr || is_folded(source.producer()))
    return QuantizerPlace::parameter;
  return quantized_name(node) == source.name() ? QuantizerPlace::value : QuantizerPlace::edge;
}

}  // namespace rung
