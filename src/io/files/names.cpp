#include "io/files/names.h"

#include <fmt/format.h>

#include <cstddef>

#include "rung/core/text.h"

namespace rung::io {

std::string shown_name(std::string_view name) {
  constexpr std::size_t kShown = 100;
  // A byte may become four characters: more than this is cut again.
  const std::string text = printable(name.size() > kShown ? shortened(name, kShown) : name);
  return fmt::format("\"{}\"", shortened(text, 2 * kShown));
}

}  // namespace rung::io
