#pragma once

#include <string>
#include <string_view>

namespace rung::io {

/// Returns a name from a file as it may stand in a one-line message: in quotes, control characters
/// and bytes outside ASCII replaced, at most 80 characters.
std::string shown_name(std::string_view name);

}  // namespace rung::io
