#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "rung/nn/transforms.h"

namespace rung::datasets {

/// Decodes a JPEG, PNG or BMP file that is held in memory, as read_image does. Throws Error
/// beginning with `name`; what a damaged file makes it allocate stays in proportion to the size of
/// the file and of the image that its header announces.
void decode_image(std::span<const std::byte> file, const std::string& name, nn::Image& image);

/// Reads and decodes a file into `image`, whose memory is used again.
void read_image_into(const std::string& path, nn::Image& image);

}  // namespace rung::datasets
