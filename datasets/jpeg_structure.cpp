#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "datasets/image_integrity.h"

namespace rung::datasets {
namespace {

std::uint8_t byte_at(std::span<const std::byte> file, std::size_t position) {
  return static_cast<std::uint8_t>(file[position]);
}

constexpr std::uint8_t kProgressive = 0xC2, kHuffmanTables = 0xC4, kStart = 0xD8, kEnd = 0xD9,
                       kScan = 0xDA, kAdobe = 0xEE;

// Within the compressed data of a scan FF 00 is a byte and FF D0 to FF D7 are restart markers.
bool belongs_to_scan(std::uint8_t marker) {
  return marker == 0x00 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD7);
}

bool is_frame(std::uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != kHuffmanTables && marker != 0xC8 &&
         marker != 0xCC;
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

/// What a frame header says.
class Frame {
 public:
  /// Reads a segment, without its length. What is wrong with it the decoder tells.
  void read(std::uint8_t marker, std::span<const std::byte> segment) {
    is_progressive_ = marker == kProgressive;
    if (segment.size() < 6) return;
    height_ = big_endian(segment, 1, 2);
    width_ = big_endian(segment, 3, 2);
    count_ = std::min<std::size_t>(byte_at(segment, 5), (segment.size() - 6) / 3);
    if (count_ > parts_.size()) count_ = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const std::uint8_t sampling = byte_at(segment, 7 + 3 * i);
      parts_[i] = {.id = byte_at(segment, 6 + 3 * i),
                   .across = static_cast<std::uint32_t>(sampling >> 4),
                   .down = static_cast<std::uint32_t>(sampling & 15)};
    }
  }

  bool is_progressive() const { return is_progressive_; }
  std::size_t components() const { return count_; }

  /// Returns how many bytes the scan with this header, without its length, has at least: a bit for
  /// the DC value of a block and one for its AC values, of which a progressive scan has one kind
  /// (whose empty blocks may be counted together).
  std::uint64_t least_bytes(std::span<const std::byte> scan) const {
    const std::size_t used = scan.empty() ? 0 : byte_at(scan, 0);
    if (scan.size() < 4 + 2 * used) return 0;
    std::uint64_t blocks = 0;
    for (std::size_t i = 0; i < used; ++i)
      for (std::size_t k = 0; k < count_; ++k)
        if (parts_[k].id == byte_at(scan, 1 + 2 * i)) blocks += blocks_of(parts_[k], used > 1);
    const bool is_dc = byte_at(scan, 1 + 2 * used) == 0;
    const std::uint64_t bits = !is_progressive_ ? 2 * blocks : is_dc ? blocks : blocks > 0;
    return (bits + 7) / 8;
  }

 private:
  struct Part {
    std::uint8_t id = 0;
    std::uint32_t across = 0, down = 0;  // its samples where the coarsest component has one
  };

  /// Scans of several components have whole units of all, which reach over the edges.
  std::uint64_t blocks_of(const Part& part, bool in_units) const {
    std::uint32_t across = 1, down = 1;  // of the finest
    for (std::size_t i = 0; i < count_; ++i) {
      across = std::max(across, parts_[i].across);
      down = std::max(down, parts_[i].down);
    }
    const auto divided = [](std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; };
    if (in_units)
      return divided(width_, 8 * across) * part.across * divided(height_, 8 * down) * part.down;
    return divided(divided(std::uint64_t{width_} * part.across, across), 8) *
           divided(divided(std::uint64_t{height_} * part.down, down), 8);
  }

  bool is_progressive_ = false;
  std::uint32_t width_ = 0, height_ = 0;
  std::size_t count_ = 0;
  std::array<Part, 4> parts_{};
};

/// Walks over the segments once and notes where they are.
class Walk {
 public:
  explicit Walk(std::span<const std::byte> file) : file_(file) {}

  ImageStructure run() {
    ImageStructure result{.damage = damage()};
    if (!result.damage.empty()) return result;
    // Four components without Adobe's marker, or with one that speaks of three: CMYK, YCCK.
    const bool is_cmyk = frame_.components() == 4 && transform_ != kCmyk && transform_ != kYcck;
    if (!has_strays_ && !is_cmyk) return result;
    const auto put = [&](std::span<const std::byte> bytes) {
      result.repaired.insert(result.repaired.end(), bytes.begin(), bytes.end());
    };
    constexpr std::size_t kAdobeSegment = 16;
    result.repaired.reserve(file_.size() + kAdobeSegment);
    put(file_.first(2));
    if (is_cmyk) {
      constexpr std::string_view kHead(
          "\xFF\xEE\0\x0E"
          "Adobe\0\x64\0\0\0\0",
          15);
      put(std::as_bytes(std::span(kHead)));
      result.repaired.push_back(static_cast<std::byte>(transform_ == kNone ? kCmyk : kYcck));
    }
    for (const auto& [begin, end, marker] : kept_)
      if (!is_cmyk || marker != kAdobe) put(file_.subspan(begin, end - begin));
    return result;
  }

 private:
  static constexpr int kNone = -1, kCmyk = 0, kYcck = 2;  // Adobe's transforms
  struct Kept {
    std::size_t begin = 0, end = 0;
    std::uint8_t marker = 0;
  };

  std::string damage() {
    std::size_t position = 2;  // behind the start marker
    while (position + 2 <= file_.size()) {
      const std::uint8_t marker = byte_at(file_, position + 1);
      if (byte_at(file_, position) != 0xFF || marker == 0x00) {
        has_strays_ = true;
        ++position;
        continue;
      }
      if (marker == 0xFF) {
        ++position;
        continue;
      }
      if (marker == kEnd) {
        kept_.push_back({position, file_.size(), marker});
        return {};
      }
      if (marker == kStart || (marker >= 0xD0 && marker <= 0xD7) || marker == 0x01) {
        has_strays_ = true;
        position += 2;
        continue;
      }
      if (position + 4 > file_.size()) break;
      const std::size_t length = big_endian(file_, position + 2, 2);
      if (length < 2 || length > file_.size() - position - 2) break;
      std::size_t end = position + 2 + length;
      const auto segment = file_.subspan(position + 4, length - 2);
      if (std::string damage = read(marker, segment, end); !damage.empty()) return damage;
      kept_.push_back({position, end, marker});
      position = end;
    }
    return "truncated";
  }

  /// Reads a segment; moves the end of a scan's behind its data.
  std::string read(std::uint8_t marker, std::span<const std::byte> segment, std::size_t& end) {
    if (is_frame(marker)) frame_.read(marker, segment);
    if (marker == kHuffmanTables && !tables_.define(segment)) return "a Huffman table is wrong";
    constexpr std::string_view kName = "Adobe";
    constexpr std::size_t kTransform = 11;
    if (marker == kAdobe && segment.size() > kTransform &&
        std::ranges::equal(segment.first(kName.size()), std::as_bytes(std::span(kName))))
      transform_ = byte_at(segment, kTransform);
    if (marker != kScan) return {};
    if (!tables_.serve(segment, frame_.is_progressive())) return "a scan has no Huffman table";
    const std::size_t begin = end;
    for (;; ++end) {
      const void* found = std::memchr(file_.data() + end, 0xFF, file_.size() - end);
      if (found == nullptr) return "truncated";
      end = static_cast<std::size_t>(static_cast<const std::byte*>(found) - file_.data());
      if (end + 2 > file_.size()) return "truncated";
      if (!belongs_to_scan(byte_at(file_, end + 1))) break;
    }
    if (end - begin < frame_.least_bytes(segment)) return "a scan has too few bytes";
    return {};
  }

  std::span<const std::byte> file_;
  HuffmanTables tables_;
  Frame frame_;
  int transform_ = kNone;
  bool has_strays_ = false;
  std::vector<Kept> kept_;
};

}  // namespace

ImageStructure jpeg_structure(std::span<const std::byte> file) {
  if (file.size() < 4) return {.damage = "truncated"};
  return Walk(file).run();
}

}  // namespace rung::datasets
