#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace rung {

/// Returns how many characters must be changed, added or removed to make `b` of `a` (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Returns up to three of `candidates` that look most like `name`, as "a, b, c", for error
/// messages; empty if there are none.
std::string closest_names(std::string_view name, std::span<const std::string> candidates);

}  // namespace rung
