#pragma once

namespace rung::cli {

/// What a command ends with that has found a difference and shown it: exit code 1, as of diff(1)
/// and cmp(1), and nothing on stderr.
struct Different {};

}  // namespace rung::cli
