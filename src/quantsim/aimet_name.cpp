#include <string>

#include "core/check.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "quantsim/parameter_key.h"
#include "quantsim/quantizer_nodes.h"
#include "rung/quantsim/quantsim.h"

namespace rung {
namespace {

/// Returns what AIMET's module calls a parameter: "weight" or "bias", unless the op has several of
/// that kind, which then go by the last part of their names.
std::string aimet_parameter(const Node& quantizer, const std::string& name) {
  const std::string_view key = quantsim::parameter_key(quantizer);
  for (const Value* input : quantsim::reader_of(quantizer).inputs()) {
    const Node* other = input->producer();
    if (other != nullptr && other != &quantizer && other->as<QuantizeDequantize>() != nullptr &&
        quantsim::is_parameter(*other->inputs()[0]) && quantsim::parameter_key(*other) == key)
      return name.substr(name.rfind('.') + 1);
  }
  return std::string(key);
}

}  // namespace

std::string aimet_name(const QuantizerHandle& quantizer) {
  const Value& source = quantizer.source();
  switch (quantizer.place()) {
    case QuantizerPlace::parameter:
      return fmt::format("{}.param_quantizers.{}", quantsim::reader_of(quantizer.node()).name(),
                         aimet_parameter(quantizer.node(), quantizer.name()));
    case QuantizerPlace::edge: {
      const Use use = quantizer.node().output().uses()[0];
      return fmt::format("{}.input_quantizers.{}", use.node->name(), use.index);
    }
    case QuantizerPlace::value:
      break;
  }
  if (source.producer() == nullptr) return quantizer.name();
  return fmt::format("{}.output_quantizers.{}", source.producer()->name(), source.output_index());
}

}  // namespace rung
