#pragma once

#include <string>

namespace rung::cli {

/// Returns a message of the library in the words of the command line: what names a function or a
/// field there names the option that was meant.
std::string in_options(std::string message);

}  // namespace rung::cli
