#include "io/tensorboard/records.h"

#include <array>
#include <cstddef>

namespace rung::io {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}

std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <typename T>
void append_number(std::string& file, T number) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    file.push_back(static_cast<char>(static_cast<unsigned char>(number >> (8 * i))));
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_table();
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 255];
  return ~crc;
}

void append_record(std::string& file, std::string_view data) {
  const std::size_t start = file.size();
  append_number(file, static_cast<std::uint64_t>(data.size()));
  append_number(file, masked_crc(std::string_view(file).substr(start)));
  file.append(data);
  append_number(file, masked_crc(data));
}

}  // namespace rung::io
