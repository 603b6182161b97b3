#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

// Mutators for JSON, alone and as the header of a safetensors file. A target uses one by defining
// LLVMFuzzerCustomMutator.

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace fuzz {

/// Puts another number in the place of a random one, since arithmetic on sizes breaks at few of
/// them.
inline void change_number(std::string& text, std::minstd_rand& random) {
  constexpr std::string_view kDigits = "0123456789", kMore = "0123456789.-+e";
  static const char* const kNumbers[] = {
      "0",     "1",     "-1",         "2",          "3",          "8",
      "255",   "65536", "2147483647", "2147483648", "4294967296", "-2147483648",
      "1e308", "1e-45", "0.5",        "46341",      "3037000500", "9223372036854775807"};
  const std::size_t begin = text.find_first_of(kDigits, random() % text.size());
  if (begin == std::string::npos) return;
  const std::size_t end = text.find_first_not_of(kMore, begin);
  text.replace(begin, end - begin, kNumbers[random() % std::size(kNumbers)]);
}

/// Changes a number of a JSON text, or anything in it.
inline std::size_t mutate_json(std::uint8_t* data, std::size_t size, std::size_t max_size,
                               unsigned seed) {
  std::minstd_rand random(seed);
  if (size == 0 || random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::string text(reinterpret_cast<const char*>(data), size);
  change_number(text, random);
  if (text.size() > max_size) return size;
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

/// Changes a number of the header, its text, or the whole file. Random bytes would nearly always
/// break the length that stands before the header, and never reach what reads it.
inline std::size_t mutate_header(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                 unsigned seed) {
  constexpr std::size_t kLength = sizeof(std::uint64_t);
  std::uint64_t length = 0;
  if (size > kLength) std::memcpy(&length, data, kLength);
  std::minstd_rand random(seed);
  if (random() % 8 == 0 || length == 0 || length > size - kLength)
    return LLVMFuzzerMutate(data, size, max_size);
  std::string header(reinterpret_cast<const char*>(data + kLength), length);
  const std::string rest(reinterpret_cast<const char*>(data + kLength + length),
                         size - kLength - length);
  if (random() % 2 == 0) {
    change_number(header, random);
  } else {
    header.resize(max_size - kLength - rest.size());
    header.resize(
        LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(header.data()), length, header.size()));
  }
  if (kLength + header.size() + rest.size() > max_size) return size;
  length = header.size();
  std::memcpy(data, &length, kLength);
  std::memcpy(data + kLength, header.data(), header.size());
  std::memcpy(data + kLength + header.size(), rest.data(), rest.size());
  return kLength + header.size() + rest.size();
}

}  // namespace fuzz
