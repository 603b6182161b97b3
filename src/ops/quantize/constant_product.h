#pragma once

#include <cstddef>
#include <optional>

#include "rung/graph/graph.h"

namespace rung {

/// What a product with or a quotient by a positive constant does: numbers on a grid stay on one.
struct ConstantProduct {
  std::size_t input = 0;  ///< the operand that is no constant
  const Value* constant = nullptr;
  double number = 1;  ///< the constant
  double factor = 1;  ///< by which it multiplies the other operand
};

/// Returns it of a Mul or Div whose other operand is one positive number that no quantizer rounds;
/// none of other ops.
std::optional<ConstantProduct> constant_product(const Node& node);

}  // namespace rung
