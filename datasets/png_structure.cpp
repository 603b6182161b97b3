#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "datasets/image_integrity.h"

namespace rung::datasets {
namespace {

constexpr std::size_t kSignature = 8, kAround = 12;  // length, type, checksum
constexpr std::uint32_t kData = 0x49444154, kEnd = 0x49454E44;

void put_number(std::vector<std::byte>& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::byte>(number >> shift));
}

void put_chunk(std::vector<std::byte>& out, std::uint32_t type, std::span<const std::byte> data) {
  put_number(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t begin = out.size();
  put_number(out, type);
  out.insert(out.end(), data.begin(), data.end());
  put_number(out,
             static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(out.data() + begin),
                                              static_cast<uInt>(out.size() - begin))));
}

/// Unpacks what there is of the pixels, at most `limit` bytes.
std::vector<std::byte> unpacked(std::span<const std::byte> packed, std::size_t limit) {
  constexpr std::size_t kPiece = 1 << 16;
  std::vector<std::byte> pixels;
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return pixels;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  for (int code = Z_OK; code == Z_OK && pixels.size() < limit;) {
    const std::size_t begin = pixels.size();
    pixels.resize(begin + kPiece);
    stream.next_out = reinterpret_cast<Bytef*>(pixels.data() + begin);
    stream.avail_out = kPiece;
    code = inflate(&stream, Z_SYNC_FLUSH);
    pixels.resize(begin + kPiece - stream.avail_out);
    if (pixels.size() == begin) break;
  }
  inflateEnd(&stream);
  return pixels;
}

std::vector<std::byte> packed(std::span<const std::byte> pixels) {
  uLongf size = compressBound(static_cast<uLong>(pixels.size()));
  std::vector<std::byte> out(size);
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                reinterpret_cast<const Bytef*>(pixels.data()), static_cast<uLong>(pixels.size()),
                Z_BEST_SPEED) != Z_OK)
    return {};
  out.resize(size);
  return out;
}

}  // namespace

ImageStructure png_structure(std::span<const std::byte> file) {
  ImageStructure result;
  std::vector<std::byte> data, before(file.begin(), file.begin() + kSignature);
  std::size_t position = kSignature;
  while (position <= file.size() && file.size() - position >= kAround - 4) {
    const std::size_t length = big_endian(file, position, 4);
    const std::uint32_t type = big_endian(file, position + 4, 4);
    const std::size_t there = std::min(length, file.size() - position - 8);
    const auto content = file.subspan(position + 8, there);
    const bool is_whole =
        file.size() - position - 8 >= length && file.size() - position - 8 - length >= 4;
    if (is_whole) {
      const auto* bytes = reinterpret_cast<const Bytef*>(file.data() + position + 4);
      if (crc32(0, bytes, static_cast<uInt>(length + 4)) !=
          big_endian(file, position + 8 + length, 4))
        return {.damage = "a checksum is wrong"};
      if (type == kEnd) return result;
    }
    if (type == kData)
      data.insert(data.end(), content.begin(), content.end());
    else if (is_whole && data.empty())
      put_chunk(before, type, content);
    if (!is_whole) break;
    position += length + kAround;
  }
  // It ends before its end. What there is of the pixels may be all.
  constexpr std::size_t kHeader = 8 + 4 + 4, kSlack = 1 << 20;
  if (data.empty() || before.size() < kHeader + 8) return {.damage = "truncated"};
  const std::uint64_t width = big_endian(before, kHeader, 4),
                      height = big_endian(before, kHeader + 4, 4);
  // Deflate shrinks at most 1032 times; 4 channels of 16 bits, a byte per row for its filter.
  const std::uint64_t limit =
      std::min<std::uint64_t>(1032 * data.size(), 8 * width * height + height) + kSlack;
  const std::vector<std::byte> pixels = packed(unpacked(data, limit));
  result.repaired = std::move(before);
  put_chunk(result.repaired, kData, pixels);
  put_chunk(result.repaired, kEnd, {});
  return result;
}

}  // namespace rung::datasets
