#include <zlib.h>

#include <cstring>
#include <span>

#include "datasets/image_file.h"
#include "file.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/// Makes the checksums of a PNG file's chunks right: a wrong one is refused before any decoding.
void repair_checksums(std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kSignature = 8, kAround = 12;  // length, type, checksum
  if (size < kSignature || std::memcmp(data, "\x89PNG", 4) != 0) return;
  for (std::size_t at = kSignature; size - at >= kAround;) {
    const std::size_t length = big_endian(data + at);
    if (length > size - at - kAround) return;
    const std::uint32_t sum =
        static_cast<std::uint32_t>(crc32(0, data + at + 4, static_cast<unsigned>(length + 4)));
    for (std::size_t i = 0; i < 4; ++i)
      data[at + 8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += length + kAround;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  const std::size_t changed = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 != 0) repair_checksums(data, changed);
  return changed;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static nn::Image image;
  return fuzz::refuse_or_read(
      [&] { datasets::decode_image(std::as_bytes(std::span(data, size)), "x", image); });
}
