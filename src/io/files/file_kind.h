#pragma once

#include <initializer_list>
#include <string_view>

#include "io/files/file.h"
#include "rung/io/file_kind.h"

namespace rung::io {

/// Returns true for a PyTorch checkpoint, false for a safetensors file. Throws Error for all else.
bool holds_pth(const std::filesystem::path& path);

/// Returns whether weights of this name are written as a PyTorch checkpoint (*.pth, *.pt), false
/// for
/// *.safetensors; throws Error for other names.
bool is_pth_name(const std::filesystem::path& path);

/// As file_kind(path), of a file that is open.
FileKind file_kind(const InputFile& file);

/// Throws Error "PATH: is an HTML page, ...; expected EXPECTED" if the file is known for something
/// else than the `wanted` formats; what is unknown passes, its reader says more.
void require_format(const InputFile& file, std::initializer_list<FileFormat> wanted,
                    std::string_view expected);

}  // namespace rung::io
