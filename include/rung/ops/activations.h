#pragma once

#include <cstdint>
#include <string_view>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// More activations; relu, relu6, leaky_relu, sigmoid and softmax stand in rung/ops/layers.h.
// Gradients at kinks are PyTorch's.

namespace rung::nn {

/// Adds y = x * min(max(x + 3, 0), 6) / 6. ONNX: HardSwish; torch.nn.Hardswish (Howard et al.
/// 2019).
RUNG_API Var hardswish(Var x, std::string_view name);

struct HardsigmoidOptions {
  float alpha = 1.0f / 6.0f;  ///< slope; ONNX's default is 0.2
  float beta = 0.5f;          ///< value at 0
};
/// Adds y = min(max(alpha * x + beta, 0), 1). ONNX: HardSigmoid; torch.nn.Hardsigmoid.
RUNG_API Var hardsigmoid(Var x, const HardsigmoidOptions& options, std::string_view name);

/// Adds the hyperbolic tangent of x. ONNX: Tanh; torch.nn.Tanh.
RUNG_API Var tanh(Var x, std::string_view name);

struct EluOptions {
  float alpha = 1.0f;  ///< the limit for very negative x is -alpha
};
/// Adds y = x where x > 0, alpha * (exp(x) - 1) elsewhere. ONNX: Elu; torch.nn.ELU (Clevert et al.
/// 2015).
RUNG_API Var elu(Var x, const EluOptions& options, std::string_view name);

struct PReluOptions {
  std::int64_t channels = 1;  ///< as many slopes; 1: one for all channels
  float slope = 0.25f;        ///< that they begin with
};
/// Adds `name`.weight [channels] and y = x where x > 0, weight[c] * x elsewhere. ONNX: PRelu;
/// torch.nn.PReLU (He et al. 2015).
RUNG_API Var prelu(Var x, const PReluOptions& options, std::string_view name);

struct ShrinkOptions {
  float lambda = 0.5f;  ///< what is not larger becomes 0
  float bias = 0.0f;    ///< by which all else moves towards 0; lambda: torch.nn.Softshrink
};
/// Adds y = x - bias where x > lambda, x + bias where x < -lambda, 0 elsewhere. ONNX: Shrink;
/// torch.nn.Hardshrink.
RUNG_API Var shrink(Var x, const ShrinkOptions& options, std::string_view name);

struct LogSoftmaxOptions {
  std::int64_t axis = -1;
};
/// Adds y = x - log(sum of exp(x) along the axis): the logarithm of softmax. cross_entropy of it is
/// that of x. ONNX: LogSoftmax; torch.nn.LogSoftmax.
RUNG_API Var log_softmax(Var x, const LogSoftmaxOptions& options, std::string_view name);

}  // namespace rung::nn
