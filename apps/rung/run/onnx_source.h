#pragma once

#include <string>
#include <vector>

#include "console/command.h"
#include "rung/io/model_file.h"

// ONNX files as inputs of commands.

namespace rung::cli {

struct OnnxSource {
  std::vector<std::string> shapes;  ///< NAME=1,3,H,W each
};

/// Adds --input-shape.
void add_onnx_options(Command& command, OnnxSource& source);

/// Reads an ONNX file. One with quantizers becomes a quantized model.
io::ModelFile load_onnx(const std::string& path, const OnnxSource& source);

/// Throws UsageError if shapes were given for a file that is no ONNX file.
void check_no_onnx_options(const std::string& path, const OnnxSource& source);

}  // namespace rung::cli
