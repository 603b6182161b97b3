#pragma once

#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"

namespace rung::nn {

/// What training looks at for NaN and infinity, each including those before it: nothing, the loss,
/// or after every step all gradients and all parameters (one read of each).
enum class CheckNumerics { off, loss, all };

/// Runs a copy of the graph on an input and says where the first number appears that is not finite:
/// in the input, in a parameter, or in the output of a node, e.g. "Conv layer1.0.conv1: 12 of 4096
/// numbers of its output are not finite; its inputs and parameters are". Returns an empty text if
/// all are finite.
RUNG_API std::string find_not_finite(const Graph& graph, const Tensor& input, Mode mode);

/// Returns the same for gradients, beginning where backward begins (at the graph's end), and for
/// the values of parameters: "the gradient of fc.weight, of Gemm fc", or an empty text.
RUNG_API std::string find_not_finite_gradient(const Graph& graph);
RUNG_API std::string find_not_finite_parameter(const Graph& graph);

/// Scales all gradients by max_norm / norm if the Euclidean norm of all of them together is larger
/// than max_norm. Returns the norm before. Sums in double, parameter by parameter: the result does
/// not depend on the number of threads. Throws Error unless max_norm is positive; gradients that
/// are not finite are left as they are. torch.nn.utils.clip_grad_norm_.
RUNG_API double clip_grad_norm(const std::vector<Parameter*>& parameters, double max_norm);

}  // namespace rung::nn
