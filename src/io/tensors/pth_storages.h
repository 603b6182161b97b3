#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/tensors/pickle.h"

namespace rung::io {

/// Where the bytes of a checkpoint's storages come from.
class Storages {
 public:
  virtual ~Storages() = default;
  /// Returns all bytes of a storage, which must have `size`.
  virtual std::vector<std::byte> read(const std::string& key, std::uint64_t size) = 0;
};

/// A checkpoint: what was pickled, and where the storages that it speaks of are.
struct PthContent {
  Pickle object;
  std::unique_ptr<Storages> storages;
};

/// Opens the zip format of torch 1.6 and later or the one before it. Throws Error that begins with
/// the path if it is neither.
PthContent open_pth(const std::filesystem::path& path);

/// Returns the bytes of an element.
std::uint64_t element_size(Dtype dtype);

}  // namespace rung::io
