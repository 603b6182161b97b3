#pragma once

#include <span>
#include <string_view>

#include "rung/core/export.h"

// Rounding to floating-point formats. No range has to be found: a format brings its own.

namespace rung {

/// A floating-point format: sign, exponent and mantissa bits, and what its exponents mean.
struct FloatFormat {
  std::string_view name = "float16";
  int exponent_bits = 5, mantissa_bits = 10;
  int min_exponent = -14;  ///< of the smallest normal number; below it steps stay as they are
  float max = 65504.0f;    ///< the largest finite number
  bool saturates = false;  ///< what is beyond becomes max, else infinity
  int bitwidth() const { return 1 + exponent_bits + mantissa_bits; }
  friend bool operator==(const FloatFormat&, const FloatFormat&) = default;
};

/// IEEE half precision. AIMET: QuantizationDataType.float with 16 bits.
inline constexpr FloatFormat kFloat16{};
inline constexpr FloatFormat kBfloat16{"bfloat16", 8, 7, -126, 3.38953139e38f, false};
/// AIMET 2024's 8-bit format with 3 bits of mantissa: no code is reserved for NaN or infinity.
inline constexpr FloatFormat kFloat8E4m3{"float8_e4m3", 4, 3, -7, 240.0f, true};
/// ONNX's and hardware's: FLOAT8E4M3FN.
inline constexpr FloatFormat kFloat8E4m3fn{"float8_e4m3fn", 4, 3, -6, 448.0f, true};
/// AIMET 2024's 8-bit format with 2 bits of mantissa.
inline constexpr FloatFormat kFloat8E5m2{"float8_e5m2", 5, 2, -15, 57344.0f, true};

/// Lists all of them.
RUNG_API std::span<const FloatFormat> float_formats();
/// Returns the format of this name; throws Error listing them otherwise.
RUNG_API const FloatFormat& float_format(std::string_view name);

/// Writes y = x rounded to the nearest number of the format, ties to the even one; y may be x. NaN
/// stays NaN. AIMET: FloatQuantizeDequantize (v2/quantization/float), fake_cast_to_ieee_float.
RUNG_API void float_quantize_dequantize(std::span<const float> x, const FloatFormat& format,
                                        std::span<float> y);
/// Writes the straight-through gradient dx = dy where |x| <= format.max, 0 beyond (everywhere dy
/// if the format does not saturate). AIMET 2024 gives its 8-bit formats no gradient at all
/// (torch.round has none), so that nothing in front of them learns; here they learn.
RUNG_API void float_quantize_dequantize_backward(std::span<const float> x,
                                                 std::span<const float> dy,
                                                 const FloatFormat& format, std::span<float> dx);

}  // namespace rung
