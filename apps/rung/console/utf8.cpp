#include "console/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

namespace rung::cli {
namespace {

struct Interval {
  std::uint32_t first, last;
};

// Unicode's marks without a width (the large blocks of them), and its wide and fullwidth letters.
constexpr auto kNarrowest = std::to_array<Interval>({
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x05bf, 0x05c7}, {0x0610, 0x061a},
    {0x064b, 0x065f}, {0x0670, 0x0670}, {0x06d6, 0x06dc}, {0x06df, 0x06e4}, {0x06e7, 0x06ed},
    {0x093c, 0x093c}, {0x0941, 0x0948}, {0x094d, 0x094d}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},
    {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x20d0, 0x20ff},
    {0x302a, 0x302d}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
});
constexpr auto kWide = std::to_array<Interval>({
    {0x1100, 0x115f},
    {0x2e80, 0x3029},
    {0x302e, 0x303e},
    {0x3041, 0x3098},
    {0x309b, 0x4dbf},
    {0x4e00, 0xa4cf},
    {0xa960, 0xa97f},
    {0xac00, 0xd7a3},
    {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},
    {0xff00, 0xff60},
    {0xffe0, 0xffe6},
    {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff},
    {0x1f900, 0x1f9ff},
    {0x20000, 0x3fffd},
});

bool contains(std::span<const Interval> intervals, std::uint32_t code) {
  return std::ranges::any_of(
      intervals, [&](const Interval& each) { return code >= each.first && code <= each.last; });
}

/// A letter with the marks that stand on it.
struct Letter {
  std::string_view text;
  std::size_t columns;
};

/// Returns the first character of a text. A byte that begins none counts for one.
Letter first_character(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  const std::size_t bytes = std::min<std::size_t>(lead >= 0xf0   ? 4
                                                  : lead >= 0xe0 ? 3
                                                  : lead >= 0xc0 ? 2
                                                                 : 1,
                                                  text.size());
  std::uint32_t code = bytes == 1 ? lead : lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i)
    code = code << 6 | (static_cast<std::uint8_t>(text[i]) & 0x3fu);
  return {text.substr(0, bytes), contains(kNarrowest, code) ? 0u : contains(kWide, code) ? 2u : 1u};
}

std::vector<Letter> letters_of(std::string_view text) {
  std::vector<Letter> letters;
  while (!text.empty()) {
    const Letter next = first_character(text);
    text.remove_prefix(next.text.size());
    if (next.columns == 0 && !letters.empty())
      letters.back().text = {letters.back().text.data(),
                             letters.back().text.size() + next.text.size()};
    else
      letters.push_back(next);
  }
  return letters;
}

/// Returns how many of the letters, from the first on, fit into so many columns.
template <typename Letters>
std::ptrdiff_t fitting(const Letters& letters, std::size_t columns) {
  std::ptrdiff_t count = 0;
  for (const Letter& letter : letters) {
    if (letter.columns > columns) break;
    columns -= letter.columns;
    ++count;
  }
  return count;
}

}  // namespace

std::string to_utf8(const std::string& text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

bool is_utf8(const std::string& text) { return to_utf8(text) == text; }

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const Letter& letter : letters_of(text)) columns += letter.columns;
  return columns;
}

std::string shortened_to(std::string_view text, std::size_t most) {
  if (columns_of(text) <= most) return std::string(text);
  constexpr std::string_view kGap = "...";
  const std::vector<Letter> letters = letters_of(text);
  const std::size_t room = std::max(most, kGap.size() + 2) - kGap.size();
  const auto tail = fitting(std::vector<Letter>(letters.rbegin(), letters.rend()), room - room / 2);
  std::string result;
  for (const Letter& letter :
       std::span(letters).first(static_cast<std::size_t>(fitting(letters, room / 2))))
    result += letter.text;
  result += kGap;
  for (const Letter& letter : std::span(letters).last(static_cast<std::size_t>(tail)))
    result += letter.text;
  return result;
}

}  // namespace rung::cli
