#pragma once

#include <string_view>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// Add, Sub, Mul and Div repeat the smaller operand as NumPy and ONNX do: shapes are aligned at
// their last axes, missing axes count as 1, and an extent of 1 is repeated. Gradients are summed
// over what was repeated. nn::add and nn::mul stand in rung/ops/layers.h.

namespace rung::nn {

/// Adds a - b. ONNX: Sub.
RUNG_API Var sub(Var a, Var b, std::string_view name);
/// Adds a / b. ONNX: Div.
RUNG_API Var div(Var a, Var b, std::string_view name);
/// Adds the matrix product a b of [..., M, K] and [..., K, N]; the axes in front are repeated as
/// above. A vector [K] is a row on the left, a column on the right, and its axis of extent 1 is
/// left out of the result. ONNX: MatMul; torch.matmul.
RUNG_API Var matmul(Var a, Var b, std::string_view name);

}  // namespace rung::nn
