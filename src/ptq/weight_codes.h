#pragma once

#include <cstdint>
#include <vector>

#include "rung/ops/quantizer_handle.h"

namespace rung::ptq {

/// Keeps the codes of a quantized weight while its channels are multiplied by factors.
class WeightCodes {
 public:
  /// Notes the codes of the quantizer's parameter. The quantizer has encodings per channel of axis
  /// 0, or several per channel, and no weight is NaN.
  WeightCodes(const QuantizerHandle& quantizer, std::vector<float> factor);

  /// Multiplies the ranges, after the weights were multiplied: (min, max) *= c, swapped where c <
  /// 0. Products are rounded, so a weight near a tie may get another code; such a weight is moved
  /// by a few ulps until its code is right.
  void keep() const;

 private:
  std::vector<std::int32_t> codes() const;
  Range scaled(const Range& range, float c) const;
  std::int32_t expected(std::int32_t code, float c, std::int32_t otherwise) const;

  QuantizerHandle quantizer_;
  std::vector<float> factor_;
  std::vector<std::int32_t> before_;
};

}  // namespace rung::ptq
