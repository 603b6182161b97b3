#pragma once

#include <cstdint>
#include <string_view>

namespace rung {

/// What one number of a buffer is in memory. Tensors that users see are always f32.
enum class Element : std::uint8_t { f32, bf16, s32, u8, s8 };

/// Returns the bytes of one.
constexpr std::int64_t size_of(Element element) {
  switch (element) {
    case Element::u8:
    case Element::s8:
      return 1;
    case Element::bf16:
      return 2;
    default:
      return 4;
  }
}

/// Returns the bytes of `count` numbers of type T.
template <typename T>
constexpr std::int64_t bytes_of(std::int64_t count) {
  return count * static_cast<std::int64_t>(sizeof(T));
}

/// Returns its name: "f32", "bf16", "s32", "u8" or "s8".
constexpr std::string_view name_of(Element element) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "s32", "u8", "s8"};
  return kNames[static_cast<std::size_t>(element)];
}

}  // namespace rung
