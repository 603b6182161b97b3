#include "ops/quantize/constant_product.h"

#include <cmath>

#include "rung/ops/quantize_dequantize.h"

namespace rung {

namespace {

/// Returns the constant number that a value is but for quantizers that are off; nullptr if it is
/// none. What is trained is no constant.
const Value* constant_of(const Value& value) {
  const Value* at = &value;
  while (at->producer() != nullptr) {
    const auto* op = at->producer()->as<QuantizeDequantize>();
    if (op == nullptr || op->enabled()) return nullptr;
    at = at->producer()->inputs()[0];
  }
  const bool is_constant = at->parameter() != nullptr && at->parameter()->role() == Role::buffer;
  return is_constant && at->shape().numel() == 1 ? at : nullptr;
}

}  // namespace

std::optional<ConstantProduct> constant_product(const Node& node) {
  const bool is_product = node.type() == "Mul";
  if (!is_product && node.type() != "Div") return std::nullopt;
  ConstantProduct product;
  product.constant = constant_of(*node.inputs()[1]);
  if (product.constant == nullptr && is_product) {
    product.input = 1;
    product.constant = constant_of(*node.inputs()[0]);
  }
  if (product.constant == nullptr) return std::nullopt;
  product.number = product.constant->parameter()->value().data()[0];
  product.factor = is_product ? product.number : 1 / product.number;
  if (!(product.number > 0) || !std::isfinite(product.number) || !std::isfinite(product.factor))
    return std::nullopt;
  return product;
}

}  // namespace rung
