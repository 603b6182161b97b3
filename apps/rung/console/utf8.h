#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// File names are bytes, what is stored in model files is UTF-8.

namespace rung::cli {

bool is_utf8(const std::string& text);
/// Returns the text with a replacement character in place of every byte that is not UTF-8.
std::string to_utf8(const std::string& text);

/// Returns how many columns of a terminal a UTF-8 text takes: none for marks on the letter before,
/// two for most letters of East Asia and for pictures.
std::size_t columns_of(std::string_view text);
/// Returns the text, or if it takes more columns than `most` (at least 5) its beginning and its
/// end with "..." between them. Cuts neither characters nor a letter from its marks.
std::string shortened_to(std::string_view text, std::size_t most);

}  // namespace rung::cli
