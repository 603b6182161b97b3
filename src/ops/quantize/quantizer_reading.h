#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/quantize.h"
#include "rung/graph/kernel.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung {

/// True if the op rounds numbers in a forward pass with these observers (nullptr: with none). Else
/// they pass.
bool quantizes(const QuantizeDequantize& op, const Observers* observers);
/// Returns what then sees the numbers that pass, or nullptr.
Observation* observation_of(const QuantizeDequantize& op, const Observers* observers);

/// What a forward pass read from a quantizer's parameters, for the backward that belongs to it.
struct QuantizerReading {
  Encoding encoding;
  std::vector<std::vector<float>> values;
  std::vector<std::span<const float>> parameters;  ///< the same

  /// Reads the parameters, the inputs of `io` from `first` on. Throws Error if the
  /// quantizer has no encoding yet.
  void read_parameters(const QuantizeDequantize& op, const Io& io, std::size_t first);
  /// Makes the encoding. Throws Error if zero is not on the grid: padded channels must stay zero.
  void read_encoding(const QuantizeDequantize& op);
  kernels::AffineParams params(std::int64_t channel = 0) const;
  /// Writes a per-tensor quantizer's output as codes of a byte, and back (Kernel::pack).
  void pack(const View& y, std::uint8_t* codes) const;
  void unpack(const std::uint8_t* codes, const View& y) const;
  /// True if the kernels, which count in float, can tell the codes apart.
  bool exact_in_float() const { return encoding.bitwidth < kExactBitwidths; }

  static constexpr int kExactBitwidths = 20;
};

}  // namespace rung
