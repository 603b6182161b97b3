#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "rung/nn/transforms.h"

namespace rung::datasets {

// One function per format does what decode_image does. Of `file` only the first bytes are known:
// they are those of the format.

void decode_jpeg(std::span<const std::byte> file, const std::string& name, nn::Image& image);
void decode_png(std::span<const std::byte> file, const std::string& name, nn::Image& image);
void decode_bmp(std::span<const std::byte> file, const std::string& name, nn::Image& image);

/// Makes room for an image of this size. Throws Error beginning with `name` if it is empty, has
/// more pixels than are read, or more than a file of `bytes` can hold.
void make_room(std::int64_t width, std::int64_t height, std::size_t bytes, const std::string& name,
               nn::Image& image);

/// Stores row `y` of an image: numbers 0 .. 255, interleaved, of `channels` 3 (red, green, blue) or
/// 1 (grey, which is repeated).
void put_row(std::span<const std::uint8_t> row, std::size_t channels, std::int64_t y,
             nn::Image& image) noexcept;

}  // namespace rung::datasets
