#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "core/check.h"
#include "datasets/decode.h"

// ---- the decoder, for this file only, without the formats that other libraries read

#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS (1 << 24)  // make_room limits their product
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <stb_image.h>
#pragma GCC diagnostic pop

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

/// True unless rows are missing: the decoder would fill them up.
bool is_whole(std::span<const std::byte> file) {
  constexpr std::size_t kFileHeader = 14, kOldHeader = 12, kNewHeader = 40;
  if (file.size() < kFileHeader + kOldHeader) return false;
  const std::uint64_t pixels = little_endian(file, 10, 4), header = little_endian(file, 14, 4);
  const bool is_old = header == kOldHeader;
  if (!is_old && file.size() < kFileHeader + kNewHeader) return false;
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
    if (compression == kRunLengths8 || compression == kRunLengths4) return true;
  }
  if (width <= 0 || height == 0) return true;
  const std::uint64_t row_bits = static_cast<std::uint64_t>(width) * bits;
  const std::uint64_t stride = (row_bits + 31) / 32 * 4,
                      rows = static_cast<std::uint64_t>(std::abs(height));
  // What fills up the last row to four bytes may be missing.
  std::uint64_t needed = 0;
  return !__builtin_mul_overflow(stride, rows - 1, &needed) &&
         !__builtin_add_overflow(needed, pixels + (row_bits + 7) / 8, &needed) &&
         needed <= file.size();
}

struct Freed {
  void operator()(stbi_uc* block) const { stbi_image_free(block); }
};

}  // namespace

void decode_bmp(std::span<const std::byte> file, const std::string& name, nn::Image& image) {
  const auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const auto size = static_cast<int>(file.size());
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(bytes, size, &width, &height, &channels) == 0)
    fail("{}: the header is damaged ({})", name, stbi_failure_reason());
  // Negative is the height of a file whose rows begin at the top.
  make_room(width, std::abs(std::int64_t{height}), file.size(), name, image);
  require(is_whole(file), "{}: the image is damaged (truncated)", name);
  const std::unique_ptr<stbi_uc, Freed> pixels(
      stbi_load_from_memory(bytes, size, &width, &height, &channels, 3));
  if (pixels == nullptr) fail("{}: the image is damaged ({})", name, stbi_failure_reason());
  const std::size_t row = 3 * static_cast<std::size_t>(image.width);
  for (std::int64_t y = 0; y < image.height; ++y)
    put_row({pixels.get() + static_cast<std::size_t>(y) * row, row}, 3, y, image);
}

}  // namespace rung::datasets
