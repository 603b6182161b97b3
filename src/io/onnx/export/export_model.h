#pragma once

#include <string>

#include "rung/graph/graph.h"
#include "rung/io/onnx_export.h"

namespace rung::io {

/// Returns the bytes that save_onnx writes; throws Error as it does.
std::string onnx_model(const Graph& graph, const OnnxExportOptions& options);

}  // namespace rung::io
