#pragma once

#include <string_view>

#include "rung/graph/op.h"

namespace rung {

/// True for ops whose output has only numbers of the first input (and zeros), so that its encoding
/// holds behind the op, too: MaxPool, Reshape, Pad with zeros, Resize to the nearest, ... AIMET:
/// grid-preserving ops.
bool is_grid_preserving(const Op& op);

/// True for ONNX types that only give all numbers of the input another shape or order: Reshape,
/// Flatten, Transpose, Identity, ... AIMET: math-invariant ops.
bool is_math_invariant(std::string_view op_type);

/// True for ONNX types that compute truth values (Equal, Not, ...): what they write has no range.
bool gives_truth(std::string_view op_type);

}  // namespace rung
