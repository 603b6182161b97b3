#include "io/names.h"

#include <cstddef>

namespace rung::io {

std::string shown_name(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string text = "\"";
  for (const char c : name.substr(0, kShown)) text += c >= 0x20 && c < 0x7f ? c : '?';
  return text + (name.size() > kShown ? "...\"" : "\"");
}

}  // namespace rung::io
