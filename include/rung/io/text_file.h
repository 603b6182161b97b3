#pragma once

#include <filesystem>
#include <string_view>

#include "rung/core/export.h"

namespace rung::io {

/// Writes a whole file, or, on Error, leaves what was there: to a temporary name in the same
/// folder, synced, renamed. A symbolic link is followed; a device or a pipe is refused.
RUNG_API void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace rung::io
