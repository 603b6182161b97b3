#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rung::datasets {

// The decoder is lenient where Pillow is strict: it fills up what is missing with grey and compares
// no checksums; and strict where Pillow is lenient. These look at the structure of a file before it
// is decoded, without decoding it.

/// What was found in a file.
struct ImageStructure {
  std::string damage = {};               ///< what is wrong, or nothing
  std::vector<std::byte> repaired = {};  ///< to be decoded in place of the file, unless empty
};

/// Looks at a JPEG file's segments: it must reach its end marker, define the tables that it uses
/// and have at least a bit for every block. Repaired are stray bytes between segments, and four
/// components without Adobe's marker: they are CMYK.
ImageStructure jpeg_structure(std::span<const std::byte> file);

/// Looks at a PNG file's chunks and their checksums. Repaired is a file that ends after the pixels,
/// but before its end; whether it does the decoder tells.
ImageStructure png_structure(std::span<const std::byte> file);

/// Looks whether a BMP file has all its rows.
ImageStructure bmp_structure(std::span<const std::byte> file);

/// Returns the number in up to four bytes from `position` on, the most significant first.
inline std::uint32_t big_endian(std::span<const std::byte> file, std::size_t position, int bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value =
        value << 8 | std::to_integer<std::uint32_t>(file[position + static_cast<std::size_t>(i)]);
  return value;
}

}  // namespace rung::datasets
