#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// TFRecord framing, all numbers little-endian:
//
//   uint64 length    uint32 masked CRC of these 8 bytes    data    uint32 masked CRC of the data
//
// CRCs are CRC-32C (Castagnoli), masked so that a CRC of data with CRCs inside is still a good one:
// rotated right by 15 bits, plus 0xa282ead8.

namespace rung::io {

/// Returns the CRC-32C of bytes: reflected polynomial 0x82f63b78.
std::uint32_t crc32c(std::string_view bytes);

/// Appends one record to `file`.
void append_record(std::string& file, std::string_view data);

}  // namespace rung::io
