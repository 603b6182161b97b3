#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/error.h"

// Reads TensorBoard's event files. Written from the description of the format alone (TFRecord
// framing, protobuf's wire format, field numbers of Event and Summary), apart from what writes
// them.

namespace rung::test {

/// One event; what it does not have is empty.
struct Event {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string file_version = {}, tag = {};
  float value = 0;
  std::map<std::string, double> histogram = {};
  std::vector<double> limits = {}, counts = {};
  bool restart = false;
};

inline void require_good(bool good, const std::string& what) {
  if (!good) throw Error("event file: " + what);
}

/// Little-endian.
inline std::uint64_t number(std::string_view bytes, std::size_t size) {
  require_good(bytes.size() >= size, "ends in a number");
  std::uint64_t number = 0;
  for (std::size_t i = size; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return number;
}

/// CRC-32C, bit by bit, masked.
inline std::uint32_t masked_crc(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
  }
  return std::rotr(~crc, 15) + 0xa282ead8u;
}

inline std::vector<std::string> read_records(std::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    const std::uint64_t length = number(file, 8);
    require_good(number(file.substr(8), 4) == masked_crc(file.substr(0, 8)), "length damaged");
    require_good(length <= file.size() - 12, "ends in a record");
    const std::string_view data = file.substr(12, length);
    require_good(number(file.substr(12 + length), 4) == masked_crc(data), "data damaged");
    records.emplace_back(data);
    file.remove_prefix(16 + length);
  }
  return records;
}

inline std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    require_good(!bytes.empty(), "ends in a varint");
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return number;
  }
  throw Error("event file: a varint of more than 64 bits");
}

/// A field of a message: its number, and its content as bytes, or as a number.
struct Field {
  std::uint64_t field = 0, number = 0;
  std::string_view bytes = {};
  double real() const { return std::bit_cast<double>(number); }
};

inline std::vector<Field> fields_of(std::string_view message) {
  std::vector<Field> fields;
  while (!message.empty()) {
    const std::uint64_t tag = take_varint(message);
    Field& field = fields.emplace_back();
    field.field = tag >> 3;
    const std::uint64_t wire = tag & 7;
    require_good(wire == 0 || wire == 1 || wire == 2 || wire == 5, "an unknown wire type");
    if (wire == 0) {
      field.number = take_varint(message);
      continue;
    }
    const std::size_t size = wire == 1 ? 8 : wire == 5 ? 4 : take_varint(message);
    require_good(size <= message.size(), "a field beyond its message");
    field.bytes = message.substr(0, size);
    if (wire != 2) field.number = number(message, size);
    message.remove_prefix(size);
  }
  return fields;
}

inline std::vector<double> packed(std::string_view bytes) {
  std::vector<double> numbers;
  for (; !bytes.empty(); bytes.remove_prefix(8))
    numbers.push_back(std::bit_cast<double>(number(bytes, 8)));
  return numbers;
}

inline void read_histogram(std::string_view message, Event& event) {
  const char* const kNames[] = {"", "min", "max", "num", "sum", "sum_squares"};
  for (const Field& field : fields_of(message)) {
    if (field.field == 6) event.limits = packed(field.bytes);
    if (field.field == 7) event.counts = packed(field.bytes);
    if (field.field >= 1 && field.field <= 5) event.histogram[kNames[field.field]] = field.real();
  }
}

inline std::vector<Event> read_events(std::string_view file) {
  std::vector<Event> events;
  for (const std::string& record : read_records(file)) {
    Event& event = events.emplace_back();
    for (const Field& field : fields_of(record)) {
      if (field.field == 1) event.wall_time = field.real();
      if (field.field == 2) event.step = static_cast<std::int64_t>(field.number);
      if (field.field == 3) event.file_version = field.bytes;
      if (field.field == 7)
        for (const Field& status : fields_of(field.bytes)) event.restart = status.number == 1;
      if (field.field != 5) continue;
      for (const Field& value : fields_of(field.bytes))
        for (const Field& each : fields_of(value.bytes)) {
          if (each.field == 1) event.tag = each.bytes;
          if (each.field == 2)
            event.value = std::bit_cast<float>(static_cast<std::uint32_t>(each.number));
          if (each.field == 5) read_histogram(each.bytes, event);
        }
    }
  }
  return events;
}

}  // namespace rung::test
