#pragma once

#include <fmt/format.h>

#include <utility>

#include "rung/core/error.h"
#include "rung/core/shape.h"

// Nearly every source includes this file: what formats and throws is compiled once, elsewhere.

/// Shapes are printed as "{}", without any options.
template <>
struct fmt::formatter<rung::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  format_context::iterator format(const rung::Shape& shape, format_context& context) const;
};

namespace rung {

namespace detail {

[[noreturn]] void throw_error(fmt::string_view text, fmt::format_args arguments);

}  // namespace detail

/// Throws Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  detail::throw_error(text, fmt::make_format_args(args...));
}

/// Throws Error with a formatted message unless `condition` holds.
template <typename... Args>
void require(bool condition, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) [[unlikely]]
    detail::throw_error(text, fmt::make_format_args(args...));
}

}  // namespace rung
