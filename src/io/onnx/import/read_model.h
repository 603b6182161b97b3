#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <memory>

namespace rung::io::onnx_import {

constexpr std::int64_t kOldestOpset = 9, kNewestOpset = 21;

/// A file that was parsed and whose outer structure was checked.
struct Model {
  std::unique_ptr<::onnx::ModelProto> proto;
  std::int64_t opset = 0;  ///< of the default domain
  std::uint64_t bytes = 0;
};

/// Reads a model without looking at its nodes. Throws Error (without the path) if the file is too
/// large, damaged, of an unknown version, or holds functions, training or sparse tensors.
Model read_model(const std::filesystem::path& path, std::uint64_t max_bytes);

}  // namespace rung::io::onnx_import
