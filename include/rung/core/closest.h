#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "rung/core/export.h"

namespace rung {

/// Returns how many characters must be changed, added or removed to make `b` of `a` (Levenshtein).
RUNG_API std::size_t edit_distance(std::string_view a, std::string_view b);

/// Returns those of `candidates` that may have been meant by `name`, as "a, b, c", for error
/// messages: up to three that contain it, the shortest first, then those that look most like it, at
/// least one and up to three in all; empty if there are no candidates.
RUNG_API std::string closest_names(std::string_view name, std::span<const std::string> candidates);

}  // namespace rung
