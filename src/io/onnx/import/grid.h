#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "io/onnx/import/importer.h"
#include "rung/quant/quantizer.h"

namespace rung::io::onnx_import {

/// The integers that a type has.
struct QdqCodes {
  int bits = 8;
  bool is_signed = false;
  std::int64_t lowest() const { return is_signed ? -(std::int64_t{1} << (bits - 1)) : 0; }
  std::int64_t highest() const { return lowest() + (std::int64_t{1} << bits) - 1; }
};
/// Throws Error for a type that holds no codes of quantizers.
QdqCodes qdq_codes(std::int32_t type);

/// What a QuantizeLinear and a DequantizeLinear say about a tensor of a known shape.
class QdqGrid {
 public:
  /// Throws Error if scale and zero point are no constants, or do not fit each other or the shape.
  QdqGrid(Importer& importer, const Quantized& pair, const Shape& shape);

  /// Uses only the codes from `low` to `high`, real numbers, as a Clip before the quantizer leaves
  /// them; returns false, changing nothing, if no grid of whole bits has these.
  bool narrow(float low, float high);

  /// The same for codes of the type, as a Clip behind the quantizer leaves them.
  bool narrow_codes(std::int64_t first, std::int64_t last);

  std::unique_ptr<Quantizer> quantizer() const;
  /// Returns what the quantizer must store, one per scale. Steps below kMinimumScale, of channels
  /// that hold next to nothing, become that: no number moves by more than half of it.
  std::vector<Range> ranges() const;
  /// Returns (code - zero point) * scale of each element.
  Tensor dequantize(const Constant& stored) const;

 private:
  void set_granularity(const Quantized& pair, const Shape& shape);
  void join_blocks(const Shape& shape);
  std::size_t scale_of(std::int64_t position, const Shape& shape) const;

  QdqCodes codes_;
  // The grid in use: a part of the type's codes.
  int bits_ = 8;
  Symmetry symmetry_ = Symmetry::asymmetric;
  std::int64_t lowest_ = 0;
  Shape scale_shape_;
  std::vector<float> scales_;
  std::vector<std::int64_t> zero_points_;
  Granularity granularity_;
};

}  // namespace rung::io::onnx_import
