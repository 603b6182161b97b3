#pragma once

#include <span>
#include <string>
#include <string_view>

namespace rung {

/// Returns up to three of `candidates` that look most like `name`, as "a, b, c", for error
/// messages; empty if there are none.
std::string closest_names(std::string_view name, std::span<const std::string> candidates);

}  // namespace rung
