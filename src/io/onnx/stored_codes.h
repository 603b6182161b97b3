#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "rung/core/shape.h"
#include "rung/io/onnx_export.h"
#include "rung/quant/encoding.h"

namespace rung::io {

/// The opset of ONNX that has per-channel quantization, and the one that added 4 and 16 bits and
/// blocks.
inline constexpr int kOpsetPerChannel = 13, kOpsetBlocks = 21;

/// The whole-number type that holds the codes of an encoding in an ONNX file.
struct StoredCodes {
  int bits = 8;
  bool is_signed = false;
  int data_type() const;  ///< onnx::TensorProto::DataType
  std::int64_t lowest() const { return is_signed ? -(std::int64_t{1} << (bits - 1)) : 0; }
  std::int64_t highest() const { return (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1; }
  /// True if the type has numbers that are no codes, so that it saturates too late.
  bool is_wider_than(const Grid& grid) const {
    return lowest() < grid.qmin || highest() > grid.qmax;
  }
};

/// Returns the lowest opset that has the type and the granularity that the encoding wants.
int natural_opset(const Encoding& encoding, OnnxCodes codes);

/// Returns the type of this opset that holds the codes. Throws Error without a name if there is
/// none, or none for the encoding's blocks.
StoredCodes stored_codes(const Encoding& encoding, OnnxCodes codes, int opset);

/// Returns the bytes of numbers of this type, 4-bit ones packed, the first in the low nibble.
std::string packed(std::span<const std::int32_t> numbers, const StoredCodes& type);

}  // namespace rung::io
