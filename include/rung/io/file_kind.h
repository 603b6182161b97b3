#pragma once

#include <filesystem>
#include <string>

#include "rung/core/export.h"

namespace rung::io {

/// The formats of files that Rung reads, and all others.
enum class FileFormat {
  model,        ///< a model file, *.rung
  safetensors,  ///< other safetensors files
  pth,          ///< a PyTorch checkpoint, or another zip file
  onnx,
  image,    ///< pictures, also of formats that are not read
  npy,      ///< an array of NumPy
  other,    ///< known for something else, which `FileKind::what` names
  unknown,  ///< nothing that a few bytes would tell
};

/// What a file is, as its bytes say, whatever its name.
struct FileKind {
  FileFormat format = FileFormat::unknown;
  std::string what = {};  ///< "an HDF5 file, as Keras writes weights"
};

/// Looks at the first bytes of a file (of ONNX files at its outermost fields, of safetensors files
/// at the header). Whether the rest is whole is left to who reads it. Throws Error that begins with
/// the path if it cannot be opened or is not a regular file.
RUNG_API FileKind file_kind(const std::filesystem::path& path);

}  // namespace rung::io
