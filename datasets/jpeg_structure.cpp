#include "datasets/image_integrity.h"

#include <zlib.h>

#include <array>
#include <cstdint>

namespace rung::datasets {
namespace {

std::uint8_t byte_at(std::span<const std::byte> file, std::size_t position) {
  return static_cast<std::uint8_t>(file[position]);
}

std::uint32_t big_endian(std::span<const std::byte> file, std::size_t position, int bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = value << 8 | byte_at(file, position + static_cast<std::size_t>(i));
  return value;
}

constexpr std::uint8_t kProgressive = 0xC2, kHuffmanTables = 0xC4, kStart = 0xD8, kEnd = 0xD9,
                       kScan = 0xDA;

// Within the compressed data of a scan FF 00 is a byte and FF D0 to FF D7 are restart markers.
bool belongs_to_scan(std::uint8_t marker) {
  return marker == 0x00 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD7);
}

/// The Huffman tables that a JPEG file has defined so far. The decoder checks neither how many
/// codes a table has, nor that a table is there when it is used.
class HuffmanTables {
 public:
  /// Reads a segment, without its length; false if a table has more than 256 codes or is cut off.
  bool define(std::span<const std::byte> segment) {
    constexpr std::size_t kLengths = 16, kMaxCodes = 256;
    while (!segment.empty()) {
      if (segment.size() < 1 + kLengths) return false;
      std::size_t codes = 0;
      for (std::size_t i = 1; i <= kLengths; ++i) codes += byte_at(segment, i);
      if (codes > kMaxCodes || codes > segment.size() - 1 - kLengths) return false;
      defined_[byte_at(segment, 0)] = true;
      segment = segment.subspan(1 + kLengths + codes);
    }
    return true;
  }

  /// True if all tables are there that the header of a scan, without its length, asks for: per
  /// component one for DC and one for AC, of which a progressive scan uses one at most.
  bool serve(std::span<const std::byte> scan, bool is_progressive) const {
    const std::size_t components = scan.empty() ? 0 : byte_at(scan, 0);
    if (scan.size() != 4 + 2 * components) return false;
    const bool is_dc = byte_at(scan, 1 + 2 * components) == 0;
    const bool is_refinement = byte_at(scan, 3 + 2 * components) >> 4 != 0;
    for (std::size_t i = 0; i < components; ++i) {
      const std::uint8_t tables = byte_at(scan, 2 + 2 * i);
      const bool dc = defined_[tables >> 4], ac = defined_[kAc | (tables & 15)];
      if (!is_progressive ? !dc || !ac : is_dc ? !dc && !is_refinement : !ac) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kAc = 0x10;
  std::array<bool, 256> defined_{};  // by class (0: DC, 1: AC) * 16 + number
};

}  // namespace

std::string jpeg_damage(std::span<const std::byte> file) {
  std::size_t position = 0;
  bool in_scan = false, is_progressive = false;
  HuffmanTables tables;
  while (position + 2 <= file.size()) {
    if (byte_at(file, position) != 0xFF) {
      if (!in_scan && position > 0) return "there is no marker where one is expected";
      ++position;
      continue;
    }
    const std::uint8_t marker = byte_at(file, position + 1);
    if (marker == kEnd) return {};
    if (marker == 0xFF || (in_scan && belongs_to_scan(marker))) {
      position += marker == 0xFF ? 1 : 2;
      continue;
    }
    position += 2;
    if (marker == kStart) continue;
    if (position + 2 > file.size()) break;
    const std::size_t length = big_endian(file, position, 2);
    if (length < 2 || length > file.size() - position) break;
    const auto segment = file.subspan(position + 2, length - 2);
    if (marker == kHuffmanTables && !tables.define(segment)) return "a Huffman table is wrong";
    if (marker == kScan && !tables.serve(segment, is_progressive))
      return "a scan has no Huffman table";
    is_progressive = is_progressive || marker == kProgressive;
    position += length;
    in_scan = marker == kScan;
  }
  return "truncated";
}

std::string png_damage(std::span<const std::byte> file) {
  constexpr std::size_t kSignature = 8, kAround = 12;  // length, type, checksum
  std::size_t position = kSignature;
  while (position <= file.size() && file.size() - position >= kAround) {
    const std::size_t length = big_endian(file, position, 4);
    if (length > file.size() - position - kAround) break;
    const auto* type = reinterpret_cast<const Bytef*>(file.data() + position + 4);
    const std::uint32_t stored = big_endian(file, position + 8 + length, 4);
    if (crc32(0, type, static_cast<uInt>(length + 4)) != stored) return "a checksum is wrong";
    if (big_endian(file, position + 4, 4) == 0x49454E44) return {};  // IEND
    position += length + kAround;
  }
  return "truncated";
}

}  // namespace rung::datasets
