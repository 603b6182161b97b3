#pragma once

#include <filesystem>
#include <optional>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung::io {

/// What becomes of a graph's quantizers in an ONNX file. Disabled ones are left out in any case.
enum class OnnxQuantizers {
  /// QuantizeLinear and DequantizeLinear; weights are stored as whole numbers. AIMET:
  /// sim.onnx.export.
  qdq,
  /// Left out; weights are float, rounded to their codes. AIMET: export.
  baked,
  /// Left out; weights are the float ones that are trained.
  none,
};

/// In which types codes are stored. The numbers are the same.
enum class OnnxCodes {
  /// 8 bits for codes of up to 8, 16 for larger ones: what ONNX Runtime runs, for every bitwidth.
  bytes,
  /// The smallest type there is: codes of up to 4 bits take 4 (opset 21), two of them a byte. ONNX
  /// Runtime 1.32 refuses many such files with its default settings, see save_onnx.
  packed,
};

/// How save_onnx writes a graph.
struct OnnxExportOptions {
  OnnxQuantizers quantizers = OnnxQuantizers::qdq;
  OnnxCodes codes = OnnxCodes::bytes;  ///< with `qdq`
  /// 13 .. 21. None: 13, which runtimes of 2021 read, or 21 if the quantizers need it (above 8
  /// bits, blocks, packed codes).
  std::optional<int> opset = {};
  /// With `qdq`: stores biases as int32 with scale_x * scale_w[c], which integer kernels want. A
  /// bias that 32 bits cannot hold, or that ops with other scales read, stays float. A float bias
  /// behind a quantizer is an Add of its own, that of a Gemm a matrix of one row: ONNX Runtime
  /// would make it int32 otherwise.
  bool int32_bias = true;
};

/// Writes the graph as Mode::eval runs it as an ONNX file, for any batch size unless a Reshape
/// forbids it. Names of inputs, nodes, tensors and parameters are the graph's. Atomic.
///
/// A quantized weight `conv1.weight` keeps its name, holds codes and is followed by a
/// DequantizeLinear `conv1.weight.qdq`; a bias by one named `conv1.bias.dq`; a quantized tensor
/// `relu1` by QuantizeLinear `relu1.q` and DequantizeLinear `relu1.qdq`. Where the grid is smaller
/// than the type that holds its codes (6 bits in a uint8), a Clip `relu1.clip` stands before.
///
/// Throws Error naming the node for what ONNX cannot express: ops of your own, batch norms folded
/// in simulation, with `qdq` quantizers to floats, of your own or above 16 bits, and what the opset
/// does not have; for an uncalibrated quantizer, an unknown opset, a file above 2 GB, or one that
/// cannot be written.
RUNG_API void save_onnx(const Graph& graph, const std::filesystem::path& path,
                        const OnnxExportOptions& options = {});

}  // namespace rung::io
