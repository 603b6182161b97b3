#pragma once

#include <string>
#include <vector>

#include "io/onnx/export/export_writer.h"
#include "rung/graph/graph.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::io {

/// Returns the op of a quantizer that changes something, nullptr for any other node.
const QuantizeDequantize* working_quantizer(const Node& node);

/// Returns the bits of the working quantizer that a value comes from, perhaps by ops that keep its
/// numbers; 0 if there is none.
int code_bits(const Value& value);

/// Returns the encoding of a quantizer as QuantizeLinear can have it. Throws Error naming the
/// quantizer if it has no range yet, or computes something else.
Encoding linear_encoding(const QuantizerHandle& quantizer);

/// Writes the codes of a parameter as `codes` and their DequantizeLinear under the quantizer's
/// name.
void write_parameter_quantizer(OnnxWriter& writer, const Parameter& parameter,
                               const QuantizerHandle& quantizer, const std::string& codes);

/// Writes QuantizeLinear and DequantizeLinear of the tensor `x`, and a Clip if they need it.
void write_quantizer(OnnxWriter& writer, const QuantizerHandle& quantizer, const std::string& x);

/// Writes the bias of a node as int32 codes and their DequantizeLinear, and returns the name of the
/// latter's output; empty, with nothing written, if the bias has to stay float.
std::string write_int32_bias(OnnxWriter& writer, const Node& node);

}  // namespace rung::io
