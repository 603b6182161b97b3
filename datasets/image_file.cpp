#include "datasets/image_file.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "datasets/image_integrity.h"
#include "io/files/file.h"
#include "io/files/file_kind.h"
#include "rung/datasets.h"

// ---- the decoder, for this file only, without the formats whose code is known to be fragile

namespace {

/// What one allocation of the decoder may be, at most: it grows buffers as compressed data demand.
thread_local std::size_t allocation_limit = 0;

void* limited_realloc(void* block, std::size_t size) {
  return size <= allocation_limit ? std::realloc(block, size) : nullptr;
}

/// Zeros: of a damaged file the decoder reads tables that it has never written.
void* limited_zeros(std::size_t size) {
  return size <= allocation_limit ? std::calloc(size, 1) : nullptr;
}

}  // namespace

#define STBI_MALLOC(size) limited_zeros(size)
#define STBI_REALLOC(block, size) limited_realloc(block, size)
#define STBI_FREE(block) std::free(block)
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS (1 << 24)  // kMaxPixels limits their product
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#ifdef __clang__  // the fuzz targets
// Of damaged JPEG data it shifts and adds too far, which gives wrong pixels and no more.
#pragma clang attribute push(__attribute__((no_sanitize("shift", "signed-integer-overflow"))), \
                             apply_to = function)
#endif
#include <stb_image.h>
#ifdef __clang__
#pragma clang attribute pop
#endif
#pragma GCC diagnostic pop

namespace rung::datasets {
namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{256} << 20;
constexpr std::int64_t kMaxPixels = 89478485;  // where Pillow warns of a decompression bomb
// Deflate shrinks at most 1032 times. Files that claim more pixels than that (and some for small
// files) are refused before memory is taken for them.
constexpr std::int64_t kMaxPixelsPerByte = 1100, kFreePixels = std::int64_t{1} << 22;

struct Freed {
  void operator()(void* block) const { std::free(block); }
};

bool starts_with(std::span<const std::byte> file, std::string_view text) {
  return file.size() >= text.size() &&
         std::ranges::equal(file.first(text.size()), std::as_bytes(std::span(text)));
}

enum class Format { jpeg, png, bmp };

Format format_of(std::span<const std::byte> file, const std::string& name) {
  require(!file.empty(), "{}: the file is empty", name);
  if (starts_with(file, "\xFF\xD8\xFF")) return Format::jpeg;
  if (starts_with(file, "\x89PNG\r\n\x1A\n")) return Format::png;
  if (starts_with(file, "BM")) return Format::bmp;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kOthers = {{
      {"RIFF", "WebP"},
      {"GIF8", "GIF"},
      {"II*", "TIFF"},
      {std::string_view("MM\0*", 4), "TIFF"},
      {"P4", "PBM"},
      {"P5", "PGM"},
      {"P6", "PPM"},
  }};
  for (const auto& [start, format] : kOthers)
    if (starts_with(file, start))
      fail("{}: {} images cannot be read; convert it to JPEG or PNG", name, format);
  fail("{}: is not a JPEG, PNG or BMP image", name);
}

struct Header {
  int width = 0, height = 0, channels = 0;
};

/// Reads the header and sets what decoding may allocate.
Header check_header(std::span<const stbi_uc> file, const std::string& name) {
  const auto size = static_cast<int>(file.size());
  allocation_limit = kMaxFile;
  Header header;
  if (stbi_info_from_memory(file.data(), size, &header.width, &header.height, &header.channels) ==
      0)
    fail("{}: the header is damaged ({})", name, stbi_failure_reason());
  header.height = std::abs(header.height);  // of a BMP file whose rows begin at the top negative
  const std::int64_t pixels = std::int64_t{header.width} * header.height;
  require(pixels > 0, "{}: the image is empty", name);
  require(pixels <= kMaxPixels, "{}: has {}x{} pixels, more than {} are not read", name,
          header.width, header.height, kMaxPixels);
  require(pixels <= kFreePixels + kMaxPixelsPerByte * size,
          "{}: is damaged: {} bytes cannot hold {}x{} pixels", name, size, header.width,
          header.height);
  // 4 channels of 16 bits, a byte per row for its filter, JPEG blocks that reach over the edges.
  constexpr std::size_t kBytesPerPixel = 8, kSlack = std::size_t{4} << 20;
  allocation_limit = kBytesPerPixel * static_cast<std::size_t>(pixels) +
                     2 * static_cast<std::size_t>(size) + kSlack;
  return header;
}

/// Decodes interleaved pixels of the asked number of channels. `damage` is what is wrong if that
/// fails, if it is known.
template <typename T, typename Load>
std::unique_ptr<T, Freed> load(std::span<const stbi_uc> file, const std::string& name,
                               const Load& load, int channels, const char* damage) {
  int width = 0, height = 0, stored = 0;
  std::unique_ptr<T, Freed> pixels(
      load(file.data(), static_cast<int>(file.size()), &width, &height, &stored, channels));
  if (pixels == nullptr)
    fail("{}: the image is damaged ({})", name, damage != nullptr ? damage : stbi_failure_reason());
  return pixels;
}

}  // namespace

void decode_image(std::span<const std::byte> file, const std::string& name, nn::Image& image) {
  require(file.size() <= kMaxFile, "{}: is too large: {} bytes, at most {} are read", name,
          file.size(), kMaxFile);
  const Format format = format_of(file, name);
  const ImageStructure structure = format == Format::jpeg  ? jpeg_structure(file)
                                   : format == Format::png ? png_structure(file)
                                                           : bmp_structure(file);
  const auto require_whole = [&] {
    require(structure.damage.empty(), "{}: the image is damaged ({})", name, structure.damage);
  };
  // The number of rows that a BMP file should have is known after its header was looked at.
  if (format != Format::bmp) require_whole();
  const bool is_repaired = !structure.repaired.empty();
  const std::span decoded = is_repaired ? std::span<const std::byte>(structure.repaired) : file;
  const std::span bytes(reinterpret_cast<const stbi_uc*>(decoded.data()), decoded.size());
  const Header header = check_header(bytes, name);
  require_whole();
  // A PNG file is repaired if it ends too early: then pixels are missing, or nothing that matters.
  const char* damage = format == Format::png && is_repaired ? "truncated" : nullptr;
  const bool wide = format == Format::png && header.channels == 1 &&
                    stbi_is_16_bit_from_memory(bytes.data(), static_cast<int>(bytes.size())) != 0;
  const auto count =
      static_cast<std::size_t>(header.width) * static_cast<std::size_t>(header.height);
  if (wide) {
    // Pillow cuts off 16-bit grey at 255, although it keeps the upper bytes of 16-bit colors.
    const auto pixels = load<stbi_us>(bytes, name, stbi_load_16_from_memory, 1, damage);
    image.resize(3, header.height, header.width);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        image.pixels[c * count + i] =
            static_cast<float>(std::min<int>(pixels.get()[i], 255)) / 255.0f;
    return;
  }
  const auto pixels = load<stbi_uc>(bytes, name, stbi_load_from_memory, 3, damage);
  image.resize(3, header.height, header.width);
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < count; ++i)
      image.pixels[c * count + i] = static_cast<float>(pixels.get()[3 * i + c]) / 255.0f;
}

void read_image_into(const std::string& path, nn::Image& image) {
  const io::InputFile file(path);
  require(file.size() <= kMaxFile, "{}: is too large: {} bytes, at most {} are read", path,
          file.size(), kMaxFile);
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
  file.read(0, bytes);
  try {
    decode_image(bytes, path, image);
  } catch (const Error&) {
    // Of all that is no image the reason is what it is: a page, a pointer to a file elsewhere.
    io::require_format(file, {io::FileFormat::image}, "a JPEG, PNG or BMP image");
    throw;
  }
}

nn::Image read_image(const std::string& path) {
  nn::Image image;
  read_image_into(path, image);
  return image;
}

}  // namespace rung::datasets
