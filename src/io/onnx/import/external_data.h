#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>

namespace rung::io::onnx_import {

/// Reads the tensors of a model that lie in other files into the model, and returns how many bytes
/// they have. Such a file must lie in `folder`, the model's, or below it: names with "..", absolute
/// ones and links that lead out of it are refused, as are places outside of the file and amounts
/// that are not what the tensor's shape needs. Throws Error, before anything is read, if there is
/// no memory for all of them.
std::uint64_t read_external_data(::onnx::ModelProto& model, const std::filesystem::path& folder);

}  // namespace rung::io::onnx_import
