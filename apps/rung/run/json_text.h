#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// JSON for pages and other programs, with many floats: each is as short as it can be and still
// reads as the same float. Report (console/report.h) writes figures.

namespace rung::cli {

/// Returns the text in quotes. It can stand in a page's <script>: no "<" is in it.
std::string json_string(std::string_view text);
/// Returns "[0.1,2,null]"; what is not finite becomes null.
std::string json_numbers(std::span<const float> numbers);
std::string json_numbers(std::span<const double> numbers);
std::string json_numbers(std::span<const std::int64_t> numbers);
/// Returns one number, or null.
std::string json_number(double number);

/// Returns JSON that means the same and can stand in a page's <script>: "<", which is in texts
/// only, is written as its code.
std::string without_tags(std::string_view json);

/// Throws Error that begins with `path` unless the text is what rung trace writes, which is
/// returned without "<", so that it can stand in a page's <script>.
std::string json_for_page(const std::string& path, const std::string& text);

}  // namespace rung::cli
