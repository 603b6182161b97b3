#pragma once

#include <string_view>

namespace rung {

/// True if this kind of quantizer is the library's own, whose encoding depends on nothing but its
/// parameters and the settings of Quantizer.
bool is_library_kind(std::string_view kind);

}  // namespace rung
