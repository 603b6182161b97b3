#include "run/json_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "rung/core/error.h"

namespace rung::cli {
namespace {

using nlohmann::ordered_json;

template <typename T>
std::string list(std::span<const T> numbers) {
  std::string text = "[";
  for (const T number : numbers) {
    if (text.size() > 1) text += ',';
    text += std::isfinite(number) ? fmt::format("{}", number) : "null";
  }
  return text + "]";
}

/// True if the page can play it: a bitwidth, and steps that have a loss and lists of numbers
/// (null: what JSON has no number for).
bool is_trace(const ordered_json& json) {
  const auto is_list = [](const ordered_json& step, const char* key) {
    return step.contains(key) && step[key].is_array() && !step[key].empty() &&
           std::ranges::all_of(step[key],
                               [](const auto& each) { return each.is_number() || each.is_null(); });
  };
  const auto is_step = [&](const ordered_json& step) {
    return step.is_object() && step.contains("loss") && is_list(step, "min") &&
           is_list(step, "max") && is_list(step, "scale") && is_list(step, "offset");
  };
  if (!json.is_object() || !json.contains("bitwidth") || !json["bitwidth"].is_number_integer())
    return false;
  const auto bits = json["bitwidth"].get<std::int64_t>();
  return bits >= 2 && bits <= 32 && json.contains("steps") && json["steps"].is_array() &&
         !json["steps"].empty() && std::ranges::all_of(json["steps"], is_step);
}

}  // namespace

std::string without_tags(std::string_view json) {
  std::string safe;
  for (const char c : json)
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  return safe;
}

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
  if (!is_trace(json))
    throw Error(path + ": expected the steps of a quantizer as rung trace writes them");
  return without_tags(text);
}

}  // namespace rung::cli
