#pragma once

#include <string>
#include <string_view>

namespace rung::io {

/// Returns a name from a file as it may stand in a one-line message: in quotes, printable, and
/// shortened where it is very long.
std::string shown_name(std::string_view name);

}  // namespace rung::io
