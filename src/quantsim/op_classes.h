#pragma once

#include <string_view>

namespace rung::quantsim {

/// True for ONNX types whose output has only numbers of the first input, so that its encoding holds
/// behind the op, too: MaxPool, Reshape, ... AIMET: grid-preserving ops.
bool is_grid_preserving(std::string_view op_type);

/// True for ONNX types that only give all numbers of the input another shape or order: Reshape,
/// Flatten, Transpose, Identity, ... AIMET: math-invariant ops.
bool is_math_invariant(std::string_view op_type);

}  // namespace rung::quantsim
