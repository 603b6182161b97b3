#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "rung/io/safetensors.h"

namespace rung::io {

/// Writes a .npy file (NumPy's format, NEP 1, version 1.0) row by row: how many rows there are is
/// known at the end. Keeps no file open, so that there may be thousands.
class NpyWriter {
 public:
  /// Creates the file, or empties it. `row` are the extents behind the first. Types of numbers
  /// alone. Throws Error that begins with the path where it cannot be written.
  NpyWriter(std::filesystem::path path, Dtype dtype, std::vector<std::int64_t> row);

  /// Adds rows: little-endian numbers, row-major.
  void append(std::int64_t rows, std::span<const std::byte> bytes);
  /// Makes it the array [rows, ...]; with `only_row` that of the one row, without the first extent.
  /// Until then the file says that it is empty.
  void finish(bool only_row = false);

  const std::filesystem::path& path() const { return path_; }
  std::int64_t rows() const { return rows_; }

 private:
  void write(std::uint64_t position, std::span<const std::byte> bytes) const;
  void write_header(bool only_row) const;

  std::filesystem::path path_;
  Dtype dtype_;
  std::vector<std::int64_t> row_;
  std::size_t header_size_;
  std::int64_t rows_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace rung::io
