#pragma once

#include "rung/core/tensor.h"

namespace rung::io::onnx_ops {

/// Returns a matrix with rows and columns exchanged.
Tensor transposed(const Tensor& tensor);

}  // namespace rung::io::onnx_ops
