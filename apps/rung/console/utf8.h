#pragma once

#include <string>

// File names are bytes, what is stored in model files is UTF-8.

namespace rung::cli {

bool is_utf8(const std::string& text);
/// Returns the text with a replacement character in place of every byte that is not UTF-8.
std::string to_utf8(const std::string& text);

}  // namespace rung::cli
