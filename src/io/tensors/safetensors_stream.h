#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "rung/io/safetensors.h"

namespace rung::io {

/// A tensor that need not be in memory: `data` hands its little-endian, row-major bytes over, piece
/// by piece.
struct StreamedTensor {
  std::string name;
  Dtype dtype = Dtype::F32;
  Shape shape = {};
  std::function<void(const std::function<void(std::span<const std::byte>)>& write)> data;
};

/// Writes a file of such tensors in the order given, atomically as the public function does. The
/// caller puts wider types first, so that every tensor is aligned to its own size.
void save_safetensors(const std::filesystem::path& path, std::span<const StreamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata);

}  // namespace rung::io
