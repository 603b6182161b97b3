#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "io/files/file.h"
#include "rung/io/safetensors.h"

namespace rung::io {

/// What the header of a .npy file (NumPy's format, NEP 1) says; the data fill the rest of the file.
struct NpyHeader {
  Dtype dtype = Dtype::F32;
  std::vector<std::int64_t> dims;  ///< outermost first
  std::uint64_t begin = 0;         ///< the byte at which the row-major, little-endian data begin
};

/// Reads and checks the header of a file, as read_npy() does.
NpyHeader read_npy_header(const InputFile& file);

/// An array out of a .npy file.
struct Npy {
  Dtype dtype = io::Dtype::F32;
  std::vector<std::int64_t> dims;  ///< outermost first
  std::vector<std::byte> data;     ///< row-major, little-endian
};

/// Reads a .npy file of format 1.0, 2.0 or 3.0 whose elements are little-endian numbers or bools.
/// Throws Error beginning with `path` if it is missing or damaged, or holds Python objects (which
/// are never executed), other elements or columns first. Memory is that of the file.
Npy read_npy(const std::string& path);

}  // namespace rung::io
