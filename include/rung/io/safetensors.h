#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"

// The safetensors format: 8 bytes little-endian header length, a JSON header that gives every
// tensor's dtype, shape and byte range, then the row-major little-endian data without gaps.
// https://github.com/huggingface/safetensors

namespace rung::io {

/// The element types of the format, under its names.
enum class Dtype {
  BOOL,
  F4,
  F6_E2M3,
  F6_E3M2,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64
};
/// Returns the name that stands in files, e.g. "BF16".
RUNG_API std::string_view to_string(Dtype dtype);
/// Returns the size of one element in bits: 4 for F4, 32 for F32.
RUNG_API std::int64_t bit_size(Dtype dtype);

/// Describes one tensor of a file; its bytes are [begin, end) of the data behind the header.
struct TensorInfo {
  std::string name = {};
  Dtype dtype = Dtype::F32;
  Shape shape = {};
  std::uint64_t begin = 0, end = 0;
};

/// A safetensors file opened for reading. The constructor checks everything that the header claims;
/// the data stay on disk until asked for, and are converted while they are read.
class RUNG_API SafetensorsFile {
 public:
  /// Throws Error that begins with the path: the file cannot be opened or is not a regular file,
  /// the header is longer than 100,000,000 bytes, is not JSON or has duplicate keys, a byte range
  /// does not fit shape and dtype, or the ranges overlap, leave gaps or do not fill the file.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const;
  /// Lists the tensors in the order of their data.
  const std::vector<TensorInfo>& tensors() const;
  /// Returns `__metadata__`, empty if the file has none.
  const std::map<std::string, std::string>& metadata() const;
  bool contains(std::string_view name) const;
  /// Throws Error with the closest names if there is no such tensor.
  const TensorInfo& info(std::string_view name) const;

  /// Reads a tensor as float32, rounding to nearest what float32 cannot hold (BOOL gives 0 and 1).
  /// Throws Error for C64, F4, F6, F8_E8M0 and the FNUZ types: use bytes(); and for finite numbers
  /// of F64 that are beyond float32, in whose place `saturate` puts the largest one.
  Tensor tensor(std::string_view name, bool saturate = false) const;
  /// Reads an integer or BOOL tensor exactly, in row-major order; throws Error for other dtypes and
  /// for U64 values beyond int64.
  std::vector<std::int64_t> integers(std::string_view name) const;
  /// Reads the raw little-endian bytes.
  std::vector<std::byte> bytes(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// An int64 tensor to be written (labels, counters).
struct IntegerTensor {
  Shape shape = {};
  std::vector<std::int64_t> values = {};  ///< row-major
};

/// A tensor whose bytes are written as they are.
struct RawTensor {
  Dtype dtype = Dtype::F32;
  Shape shape = {};
  std::vector<std::byte> bytes = {};  ///< row-major, little-endian
};

/// What a safetensors file is to contain. Names must be unique over all lists.
struct SafetensorsContent {
  std::vector<std::pair<std::string, ConstTensor>> tensors = {};
  std::vector<std::pair<std::string, IntegerTensor>> integers = {};
  std::vector<std::pair<std::string, RawTensor>> raw = {};
  /// By name, what is not written as F32 (tensors) and I64 (integers). Tensors may be F64, F16,
  /// BF16, F8_E5M2 or F8_E4M3, rounded to nearest even; both kinds BOOL and all integer types,
  /// which must hold the values exactly.
  std::map<std::string, Dtype> dtypes = {};
  std::map<std::string, std::string> metadata = {};
  /// Write the largest number of a floating-point type for those beyond it, which otherwise are an
  /// Error. Infinite ones stay.
  bool saturate = false;
};

/// Writes the file atomically: it appears complete or not at all. The same content gives the same
/// bytes. Throws Error on a wrong name, an undefined tensor, a dtype that cannot be written or does
/// not hold a value, a full disk or an unwritable folder.
RUNG_API void save_safetensors(const std::filesystem::path& path,
                               const SafetensorsContent& content);

}  // namespace rung::io
