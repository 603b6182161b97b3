#pragma once

#include <cstdint>
#include <string>

#include "io/onnx/import/importer.h"

// What is done to codes, which lie between QuantizeLinear and DequantizeLinear.

namespace rung::io::onnx_ops {

using namespace onnx_import;

/// True if both mean the same of their codes.
bool are_equal(Importer& importer, const Quantized& a, const Quantized& b);
/// Returns what codes mean, adding a QuantizeDequantize node for them if there is none yet; its
/// name is `tensor`, the result's, if that is one of a quantizer. `is_alone`: nothing else reads
/// the codes.
Value& dequantized(Importer& importer, Quantized& codes, const std::string& tensor, bool is_alone);
/// Makes the node's output the codes that a Clip of `tensor` from `low` to `high` leaves.
void clip_codes(Importer& importer, const NodeReader& node, const std::string& tensor,
                std::int64_t low, std::int64_t high);

}  // namespace rung::io::onnx_ops
