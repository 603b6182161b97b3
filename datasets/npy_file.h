#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "rung/io/safetensors.h"

namespace rung::datasets {

/// An array out of a .npy file (NumPy's format, NEP 1).
struct Npy {
  io::Dtype dtype = io::Dtype::F32;
  std::vector<std::int64_t> dims;  ///< outermost first
  std::vector<std::byte> data;     ///< row-major, little-endian
};

/// Reads a .npy file of format 1.0, 2.0 or 3.0 whose elements are little-endian numbers or bools.
/// Throws Error beginning with `path` if it is missing or damaged, or holds Python objects (which
/// are never executed), other elements or columns first. Memory is that of the file.
Npy read_npy(const std::string& path);

}  // namespace rung::datasets
