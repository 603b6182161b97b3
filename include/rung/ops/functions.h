#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// Families of functions whose members differ in a formula only. Each is a row in
// src/ops/elementwise/unary.cpp, src/ops/elementwise/binary.cpp or src/ops/reduce/reduce.cpp and
// goes by its ONNX name. Truth values are 1 and 0, as floats; whatever is not 0 is true. Where a
// gradient does not exist (ties, kinks) it is PyTorch's.

namespace rung::nn {

/// Adds y = f(x), element by element, with f's default attributes. f is Abs, Acos, Acosh, Asin,
/// Asinh, Atan, Atanh, Ceil, Celu, Cos, Cosh, Erf, Exp, Floor, Gelu, IsInf, IsNaN, Log, Mish, Neg,
/// Not, Reciprocal, Round, Selu, Sign, Sin, Sinh, Softplus, Softsign, Sqrt, Tan or ThresholdedRelu.
/// Throws Error if f is none of these.
RUNG_API Var unary(Var x, std::string_view f, std::string_view name);

/// Adds y = f(a, b), operands of different shapes being repeated as in Add. f is And, Equal,
/// Greater, GreaterOrEqual, Less, LessOrEqual, Max, Min, Or, Pow or Xor. Throws Error if f is none
/// of these.
RUNG_API Var binary(Var a, Var b, std::string_view f, std::string_view name);

/// Adds a where the condition is true and b elsewhere, all three repeated to one shape. ONNX:
/// Where; torch.where.
RUNG_API Var where(Var condition, Var a, Var b, std::string_view name);

struct ReduceOptions {
  std::vector<std::int64_t> axes = {};  ///< none: all
  bool keepdims = false;                ///< reduced axes stay with extent 1
};
/// Adds what f makes of all elements along the axes. f is ReduceL1, ReduceL2, ReduceLogSum,
/// ReduceLogSumExp, ReduceMax, ReduceMin, ReduceProd, ReduceSum or ReduceSumSquare. Throws Error if
/// f is none of these. Averages are nn::mean.
RUNG_API Var reduce(Var x, std::string_view f, const ReduceOptions& options, std::string_view name);

}  // namespace rung::nn
