#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "rung/core/export.h"

namespace rung::io {

/// Writes a whole file, or, on Error, leaves what was there: to a temporary name in the same
/// folder, synced, renamed. A symbolic link is followed; a device or a pipe is refused.
RUNG_API void write_text_file(const std::filesystem::path& path, std::string_view text);

/// Returns the whole file. Throws Error that begins with the path if it cannot be opened, is no
/// regular file (a pipe could block, a device never end) or is larger than `max_bytes`.
RUNG_API std::string read_text_file(const std::filesystem::path& path,
                                    std::uint64_t max_bytes = std::uint64_t{256} << 20);

}  // namespace rung::io
