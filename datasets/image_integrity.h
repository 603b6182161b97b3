#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace rung::datasets {

// The decoder is lenient: it fills up what is missing with grey and compares no checksums. These
// look at the structure of a file only, before it is decoded.

/// Returns what is wrong with the markers of a JPEG file, or nothing: it must reach its end marker.
std::string jpeg_damage(std::span<const std::byte> file);

/// Returns what is wrong with the chunks of a PNG file, or nothing: lengths, checksums, the end.
std::string png_damage(std::span<const std::byte> file);

}  // namespace rung::datasets
