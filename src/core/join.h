#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// What fmt::join does, compiled once: that one takes half a second of every source that uses it.

namespace rung {

/// Elements of a list for "{}": text is made only where it is printed.
template <typename Element>
struct Joined {
  std::span<const Element> elements;
  std::string_view separator;
};

/// Lists numbers or names in messages; reads the elements when it is formatted.
inline Joined<std::int64_t> join(std::span<const std::int64_t> elements,
                                 std::string_view separator = ", ") {
  return {elements, separator};
}
inline Joined<std::string> join(std::span<const std::string> elements,
                                std::string_view separator = ", ") {
  return {elements, separator};
}
inline Joined<std::string_view> join(std::span<const std::string_view> elements,
                                     std::string_view separator = ", ") {
  return {elements, separator};
}

}  // namespace rung

template <typename Element>
struct fmt::formatter<rung::Joined<Element>> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  format_context::iterator format(const rung::Joined<Element>& list, format_context& context) const;
};
extern template struct fmt::formatter<rung::Joined<std::int64_t>>;
extern template struct fmt::formatter<rung::Joined<std::string>>;
extern template struct fmt::formatter<rung::Joined<std::string_view>>;
