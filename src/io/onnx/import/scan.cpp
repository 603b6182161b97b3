#include "io/onnx/import/scan.h"

#include <cstddef>
#include <cstdint>

#include "core/check.h"

// A message of two bytes becomes an object of a hundred when it is parsed, so the parts are counted
// first. protobuf's encoding: a key (field number * 8 + wire type), then a varint, 8 bytes, a
// length and so many bytes, or 4 bytes.

namespace rung::io::onnx_import {
namespace {

constexpr std::size_t kMaxParts = 1'000'000;
constexpr int kMaxNesting = 24;

enum class Kind {
  bytes,
  model,
  graph,
  node,
  attribute,
  tensor,
  value_info,
  type,
  container,  // of types: sequence, map, optional
  tensor_type,
  shape,
};

/// Returns what a field is; everything that holds no messages is bytes.
Kind child(Kind kind, std::uint64_t field) {
  switch (kind) {
    case Kind::model:
      return field == 7 ? Kind::graph : Kind::bytes;
    case Kind::graph:
      if (field == 1) return Kind::node;
      if (field == 5) return Kind::tensor;
      return field >= 11 && field <= 13 ? Kind::value_info : Kind::bytes;
    case Kind::node:
      return field == 5 ? Kind::attribute : Kind::bytes;
    case Kind::attribute:
      if (field == 5 || field == 10) return Kind::tensor;
      if (field == 6 || field == 11) return Kind::graph;
      return field == 14 || field == 15 ? Kind::type : Kind::bytes;
    case Kind::value_info:
      return field == 2 ? Kind::type : Kind::bytes;
    case Kind::type:
      if (field == 1 || field == 8) return Kind::tensor_type;
      return field == 4 || field == 5 || field == 9 ? Kind::container : Kind::bytes;
    case Kind::container:
      return field == 1 || field == 2 ? Kind::type : Kind::bytes;
    case Kind::tensor_type:
      return field == 2 ? Kind::shape : Kind::bytes;
    default:
      return Kind::bytes;
  }
}

class Scanner {
 public:
  explicit Scanner(std::string_view bytes) : bytes_(bytes) {}

  void message(Kind kind, std::size_t end, int depth) {
    require(depth < kMaxNesting, "is damaged: messages lie within each other {} times", depth);
    while (at_ < end) {
      const std::uint64_t key = varint(end);
      const std::uint64_t field = key >> 3;
      switch (key & 7) {
        case 0:
          varint(end);
          break;
        case 1:
          skip(8, end);
          break;
        case 2: {
          require(++parts_ <= kMaxParts, "has more than {} parts", kMaxParts);
          const std::uint64_t size = varint(end);
          require(size <= end - at_, "is damaged at byte {}: {} more bytes are announced, {} left",
                  at_, size, end - at_);
          const Kind inner = child(kind, field);
          if (inner == Kind::bytes) {
            at_ += size;
            // Texts and unknown fields; refused elsewhere if they must not be there.
            break;
          }
          message(inner, at_ + size, depth + 1);
          break;
        }
        case 5:
          skip(4, end);
          break;
        default:
          fail("is no ONNX model, or damaged at byte {}", at_);
      }
      require(field != 0, "is no ONNX model, or damaged at byte {}", at_);
    }
  }

 private:
  std::uint64_t varint(std::size_t end) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      require(at_ < end, "is damaged at byte {}: a number is cut off", at_);
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail("is damaged at byte {}: a number has more than 64 bits", at_);
  }

  void skip(std::size_t size, std::size_t end) {
    require(size <= end - at_, "is damaged at byte {}: it ends too early", at_);
    at_ += size;
  }

  std::string_view bytes_;
  std::size_t at_ = 0, parts_ = 0;
};

}  // namespace

void scan_model(std::string_view bytes) {
  require(!bytes.empty(), "is empty");
  Scanner(bytes).message(Kind::model, bytes.size(), 0);
}

}  // namespace rung::io::onnx_import
