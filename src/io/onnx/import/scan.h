#pragma once

#include <string_view>

namespace rung::io::onnx_import {

/// Walks through the bytes of a ModelProto without allocating anything: throws Error if they are no
/// such message, or hold so many parts that parsing them would need far more memory than the file
/// has.
void scan_model(std::string_view bytes);

}  // namespace rung::io::onnx_import
