#pragma once

#include <string>
#include <vector>

#include "io/onnx/export/export_writer.h"

namespace rung::io {

/// Writes what a node that is no quantizer computes in Mode::eval, under its own name, reading and
/// writing tensors of these names. Throws Error naming the node if ONNX has no such op.
void write_op(OnnxWriter& writer, Node& node, std::vector<std::string> inputs,
              const std::vector<std::string>& outputs);

/// Returns the opset in which the op came to ONNX; 0 if every opset that is written has it.
int opset_of(const Node& node);

}  // namespace rung::io
