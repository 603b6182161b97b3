#include "datasets/image_file.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "datasets/decode.h"
#include "io/files/file.h"
#include "io/files/file_kind.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{256} << 20;
constexpr std::int64_t kMaxPixels = 89478485;  // where Pillow warns of a decompression bomb
// Deflate shrinks at most 1032 times. Files that claim more pixels than that (and some for small
// files) are refused before memory is taken for them.
constexpr std::int64_t kMaxPixelsPerByte = 1100, kFreePixels = std::int64_t{1} << 22;

/// The numbers 0 .. 255 as they are stored: 0 .. 1.
constexpr std::array<float, 256> kUnit = [] {
  std::array<float, 256> unit{};
  for (std::size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<float>(i) / 255.0f;
  return unit;
}();

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

}  // namespace

void make_room(std::int64_t width, std::int64_t height, std::size_t bytes, const std::string& name,
               nn::Image& image) {
  require(width > 0 && height > 0, "{}: the image is empty", name);
  require(width <= kMaxPixels / height, "{}: has {}x{} pixels, more than {} are not read", name,
          width, height, kMaxPixels);
  require(width * height <= kFreePixels + kMaxPixelsPerByte * static_cast<std::int64_t>(bytes),
          "{}: is damaged: {} bytes cannot hold {}x{} pixels", name, bytes, width, height);
  image.resize(3, height, width);
}

void put_row(std::span<const std::uint8_t> row, std::size_t channels, std::int64_t y,
             nn::Image& image) noexcept {
  const auto width = static_cast<std::size_t>(image.width);
  const std::size_t plane = width * static_cast<std::size_t>(image.height);
  const std::size_t other = channels == 3 ? 1 : 0;  // from one color to the next
  float* out = image.pixels.data() + static_cast<std::size_t>(y) * width;
  for (std::size_t c = 0; c < 3; ++c, out += plane)
    for (std::size_t x = 0; x < width; ++x) out[x] = kUnit[row[x * channels + c * other]];
}

void decode_image(std::span<const std::byte> file, const std::string& name, nn::Image& image) {
  require(file.size() <= kMaxFile, "{}: is too large: {} bytes, at most {} are read", name,
          file.size(), kMaxFile);
  switch (format_of(file, name)) {
    case Format::jpeg:
      return decode_jpeg(file, name, image);
    case Format::png:
      return decode_png(file, name, image);
    case Format::bmp:
      return decode_bmp(file, name, image);
  }
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
