#include "io/onnx/stored_codes.h"

#include <onnx/onnx_pb.h>

#include "core/check.h"
#include "io/onnx/export/export_writer.h"

namespace rung::io {

int StoredCodes::data_type() const {
  switch (bits) {
    case 4:
      return is_signed ? kOnnxInt4 : kOnnxUint4;
    case 8:
      return is_signed ? onnx::TensorProto::INT8 : onnx::TensorProto::UINT8;
    default:
      return is_signed ? onnx::TensorProto::INT16 : onnx::TensorProto::UINT16;
  }
}

namespace {

bool is_nibble(const Encoding& encoding, OnnxCodes codes) {
  return codes == OnnxCodes::packed && encoding.bitwidth <= 4;
}

}  // namespace

int natural_opset(const Encoding& encoding, OnnxCodes codes) {
  const bool is_byte = encoding.bitwidth <= 8 && !is_nibble(encoding, codes);
  return is_byte && !encoding.blocks ? kOpsetPerChannel : kOpsetBlocks;
}

StoredCodes stored_codes(const Encoding& encoding, OnnxCodes codes, int opset) {
  require(!encoding.is_float(), "rounds to {}, QuantizeLinear to whole numbers",
          encoding.format->name);
  require(encoding.bitwidth <= 16, "has {} bits, ONNX quantizes to at most 16", encoding.bitwidth);
  const bool is_new = opset >= kOpsetBlocks;
  require(is_new || encoding.bitwidth <= 8,
          "has {} bits, opset {} quantizes to at most 8: export with opset {}", encoding.bitwidth,
          opset, kOpsetBlocks);
  require(is_new || !encoding.blocks, "has blocks, which opset {} lacks: export with opset {}",
          opset, kOpsetBlocks);
  StoredCodes type{.bits = 8, .is_signed = encoding.grid.qmin < 0};
  if (is_new && is_nibble(encoding, codes)) type.bits = 4;
  if (encoding.bitwidth > 8) type.bits = 16;
  return type;
}

std::string packed(std::span<const std::int32_t> numbers, const StoredCodes& type) {
  std::string bytes;
  bytes.reserve(numbers.size() * static_cast<std::size_t>(type.bits) / 8 + 1);
  const auto put = [&](int number) { bytes.push_back(static_cast<char>(number & 0xff)); };
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (type.bits == 4) {
      const int high = i + 1 < numbers.size() ? numbers[i + 1] : 0;
      put((numbers[i] & 0xf) | (high & 0xf) << 4);
      ++i;
      continue;
    }
    put(numbers[i]);
    if (type.bits == 16) put(numbers[i] >> 8);
  }
  return bytes;
}

}  // namespace rung::io
