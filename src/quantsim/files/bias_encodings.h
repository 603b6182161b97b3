#pragma once

#include <vector>

#include "rung/graph/graph.h"
#include "rung/io/encodings.h"

namespace rung::quantsim {

/// Returns int32 entries for the biases of Conv, ConvTranspose and Gemm nodes whose input and
/// weight are quantized and whose bias has no quantizer of its own: scale_b[c] = scale_x *
/// scale_w[c], zero point 0. Throws Error for a bias that needs more than 32 bits at that scale,
/// and for one that several ops read with different scales. AIMET: export_int32_bias.
std::vector<io::TensorEncoding> bias_encodings(Graph& graph);

}  // namespace rung::quantsim
