#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "rung/core/shape.h"
#include "rung/io/safetensors.h"
#include "rung/quant/encoding.h"

// index.json, which says what is in the folder of a dump.

namespace rung::analysis {

inline constexpr const char* kDumpIndex = "index.json";
inline constexpr const char* kDumpSafetensors = "tensors.safetensors";

struct DumpedTensor {
  std::string name, type;
  std::string file;  ///< in the folder
  io::Dtype dtype = io::Dtype::F32;
  Shape shape = {};
  bool fixed = false;
  bool codes = false;                     ///< the numbers in the file are codes
  std::optional<Encoding> encoding = {};  ///< of numbers that are, or were made of, codes
};

struct DumpIndex {
  std::int64_t images = 0;
  std::vector<DumpedTensor> tensors;  ///< in network order
};

std::string to_json(const DumpIndex& index);
/// Reads the index of a folder, trusting nothing in it; none if the folder has no such file, or it
/// is another tool's. Throws Error that begins with the file for a damaged one.
std::optional<DumpIndex> read_dump_index(const std::filesystem::path& folder);

/// Returns a name in letters, digits, ".", "_" and "-" for a file of a tensor.
std::string safe_file_name(const std::string& tensor);

}  // namespace rung::analysis
