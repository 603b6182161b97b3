#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "rung/core/export.h"

// Text from elsewhere (names in files, arguments) on its way to people.

namespace rung {

/// Returns the text as a terminal may show it: control characters (C0, DEL, C1), marks that reorder
/// or break lines, and bytes that are no UTF-8 become \x1b or \u202e; everything else, letters of
/// any language too, stays. Unescaped text comes back as it is.
RUNG_API std::string printable(std::string_view text);

/// Returns the text if it has at most `most` bytes (at least 100), otherwise its beginning and its
/// end with how much was left out between them. Never cuts a UTF-8 character in two.
RUNG_API std::string shortened(std::string_view text, std::size_t most);

}  // namespace rung
