#pragma once

#include <cstddef>
#include <string_view>

namespace rung {

/// Returns a text that Meson has put into a source. Does without looking for its end, which
/// compilers give up on where the text is long.
template <std::size_t N>
constexpr std::string_view embedded_text(const char (&characters)[N]) {
  return {characters, N - 1};
}

}  // namespace rung
