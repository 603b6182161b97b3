#include "rung/core/text.h"

#include <array>
#include <cstdint>

#include "core/check.h"

namespace rung {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0u) == 0x80u; }

/// One character, and how many bytes it takes; 0 bytes if there is no UTF-8 here.
struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;
};

/// Reads the first character, as the Unicode standard defines UTF-8: no surrogates, no number
/// written longer than it has to be.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(text[i])) return {};
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < kLeast[bytes] || code > 0x10ffff || is_surrogate ? Character{}
                                                                 : Character{code, bytes};
}

/// True for what a terminal obeys or that makes text look like another.
bool is_hidden(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return true;
  return c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto [code, bytes] = first_character(text);
    if (bytes == 0) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (code == '\n') {
      result += "\\n";
    } else if (code == '\t') {
      result += "\\t";
    } else if (is_hidden(code)) {
      result += code < 0x100 ? fmt::format("\\x{:02x}", static_cast<std::uint32_t>(code))
                             : fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code));
    } else {
      result += text.substr(0, bytes);
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return result;
}

std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  constexpr std::size_t kNote = 40;  // what the remark in the middle takes, at most
  std::size_t head = (most - kNote) * 2 / 3, tail = text.size() - (most - kNote - head);
  while (head > 0 && is_continuation(text[head])) --head;
  while (tail < text.size() && is_continuation(text[tail])) ++tail;
  return fmt::format("{} [... {} bytes ...] {}", text.substr(0, head), tail - head,
                     text.substr(tail));
}

}  // namespace rung
