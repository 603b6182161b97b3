#include <cstdint>
#include <cstdlib>

#include "datasets/image_integrity.h"

namespace rung::datasets {
namespace {

/// The number in up to four bytes from `position` on, the least significant first.
std::uint32_t little_endian(std::span<const std::byte> file, std::size_t position, int bytes) {
  std::uint32_t value = 0;
  for (int i = bytes; i-- > 0;)
    value =
        value << 8 | std::to_integer<std::uint32_t>(file[position + static_cast<std::size_t>(i)]);
  return value;
}

}  // namespace

ImageStructure bmp_structure(std::span<const std::byte> file) {
  constexpr std::size_t kFileHeader = 14, kOldHeader = 12, kNewHeader = 40;
  if (file.size() < kFileHeader + kOldHeader) return {.damage = "truncated"};
  const std::uint64_t pixels = little_endian(file, 10, 4), header = little_endian(file, 14, 4);
  const bool is_old = header == kOldHeader;
  if (!is_old && file.size() < kFileHeader + kNewHeader) return {.damage = "truncated"};
  std::int64_t width = 0, height = 0;
  std::uint64_t bits = 0;
  if (is_old) {
    width = little_endian(file, 18, 2);
    height = little_endian(file, 20, 2);
    bits = little_endian(file, 24, 2);
  } else {
    width = static_cast<std::int32_t>(little_endian(file, 18, 4));
    height = static_cast<std::int32_t>(little_endian(file, 22, 4));  // negative: from the top
    bits = little_endian(file, 28, 2);
    constexpr std::uint32_t kRunLengths8 = 1, kRunLengths4 = 2;
    const std::uint32_t compression = little_endian(file, 30, 4);
    // Of unknown length; the decoder does not read them.
    if (compression == kRunLengths8 || compression == kRunLengths4) return {};
  }
  if (width <= 0 || height == 0) return {};
  const std::uint64_t row_bits = static_cast<std::uint64_t>(width) * bits;
  const std::uint64_t stride = (row_bits + 31) / 32 * 4,
                      rows = static_cast<std::uint64_t>(std::abs(height));
  // What fills up the last row to four bytes may be missing.
  std::uint64_t needed = 0;
  if (__builtin_mul_overflow(stride, rows - 1, &needed) ||
      __builtin_add_overflow(needed, pixels + (row_bits + 7) / 8, &needed) || needed > file.size())
    return {.damage = "truncated"};
  return {};
}

}  // namespace rung::datasets
