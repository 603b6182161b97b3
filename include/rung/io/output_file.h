#pragma once

#include <filesystem>

#include "rung/core/export.h"

// What is written appears complete or not at all: it is a temporary file beside its target until
// then. These look after such files.

namespace rung::io {

/// Throws Error, as writing it would, if no file can be written to `path` now: a folder that is
/// missing or locked, a name that is too long, links in a circle, a folder or device in its place.
RUNG_API void check_can_write(const std::filesystem::path& path);

/// Removes what processes that have ended left of writing `path`, or if it ends in a hyphen of
/// every file whose name begins with it. What a running process writes stays, wherever it runs:
/// it holds a lock. Errors are ignored.
RUNG_API void remove_unfinished(const std::filesystem::path& path);

}  // namespace rung::io
