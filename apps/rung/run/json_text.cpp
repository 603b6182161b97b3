#include "run/json_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "rung/core/error.h"

namespace rung::cli {
namespace {

using nlohmann::ordered_json;

/// In JSON "<" is a part of texts only, where it can be written so.
std::string without_tags(std::string_view json) {
  std::string safe;
  for (const char c : json)
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  return safe;
}

template <typename T>
std::string list(std::span<const T> numbers) {
  std::string text = "[";
  for (const T number : numbers) {
    if (text.size() > 1) text += ',';
    text += std::isfinite(number) ? fmt::format("{}", number) : "null";
  }
  return text + "]";
}

}  // namespace

std::string json_string(std::string_view text) {
  return without_tags(
      ordered_json(std::string(text)).dump(-1, ' ', true, ordered_json::error_handler_t::replace));
}

std::string json_numbers(std::span<const float> numbers) { return list(numbers); }
std::string json_numbers(std::span<const double> numbers) { return list(numbers); }
std::string json_numbers(std::span<const std::int64_t> numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ","));
}

std::string json_number(double number) {
  return std::isfinite(number) ? fmt::format("{}", number) : "null";
}

std::string json_for_page(const std::string& path, const std::string& text) {
  const auto json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) throw Error(path + ": is no JSON object; expected what rung trace writes");
  return without_tags(text);
}

}  // namespace rung::cli
