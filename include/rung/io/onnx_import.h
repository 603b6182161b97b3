#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// Models from other frameworks: ONNX, opsets 9 to 21.

namespace rung::io {

struct OnnxImportOptions {
  /// Inputs of the file that become constants under these values (weights, scales or shapes that
  /// would be fed at run time). Integers must be whole numbers.
  std::map<std::string, Tensor> constants = {};
  /// Shapes of inputs whose extents the file leaves open. A batch axis (0) that is left open needs
  /// none: it is 1 here, and any size at run time.
  std::map<std::string, Shape> input_shapes = {};
  /// Larger files are refused.
  std::uint64_t max_bytes = (std::uint64_t{1} << 31) - 1;
};

/// Makes a graph of an ONNX file. Nodes, values and parameters have the names of the file: values
/// those of its tensors (to which AIMET's encodings files refer), parameters those of its
/// initializers, nodes their own or, where that is missing, the tensor's that they write.
///
/// What depends on constants and shapes only is computed once, with the batch size left open.
/// QuantizeLinear with DequantizeLinear becomes a QuantizeDequantize node, named <source>.qdq, with
/// the file's scale and zero point, and the smaller grid that a Clip of its codes leaves; ops that
/// only move codes move what they mean. A weight stored as integers becomes a parameter and such a
/// node; an int32 bias becomes a parameter. Everything is computed in float32, whatever float type
/// the file has. Nodes may be in any order. Tensors may lie in other files beside the model, or
/// below its folder.
///
/// Throws Error beginning with the path: the file cannot be read, is damaged, has another opset, or
/// ops that are not imported (one message lists them all); an op's inputs or attributes go beyond
/// what is supported.
RUNG_API Graph load_onnx(const std::filesystem::path& path, const OnnxImportOptions& options = {});

/// Lists the ONNX operators that load_onnx imports or computes from constants, sorted.
RUNG_API std::vector<std::string_view> onnx_import_ops();

}  // namespace rung::io
