#pragma once

#include <cstddef>
#include <cstdint>

// How large the parts of a model may be, in every format. Writers keep to the same limits as
// readers: what is written can be read back, and what one reader takes every writer can write.

namespace rung::io {

inline constexpr std::size_t kMaxNodes = 100'000, kMaxParameters = 100'000;
inline constexpr std::size_t kMaxEnds = 65'536;  ///< inputs or outputs of a node or the graph
inline constexpr std::size_t kMaxName = 1024;    ///< bytes
inline constexpr std::size_t kMaxRank = 8;
/// So that products in shape rules fit into int64.
inline constexpr std::int64_t kMaxExtent = INT32_MAX;
inline constexpr std::size_t kMaxList = 1 << 16;  ///< numbers in an attribute
/// Of numbers in attributes: sizes and paddings beyond it are damage, and would overflow.
inline constexpr std::int64_t kMaxAttribute = std::int64_t{1} << 31;

}  // namespace rung::io
