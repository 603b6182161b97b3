#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/core/tensor.h"
#include "rung/quant/encoding.h"

// What quantization does to numbers, and what gradients pass it. These functions are the readable
// specification; src/kernels/quantize.cpp computes the same bits faster. Data lie row-major in
// `shape`; encoding.axis says which axis holds the channels. All throw Error if sizes differ. With
// an encoding of a floating-point format they round as rung/quant/float_format.h says.

namespace rung {

/// How a number between two codes is rounded.
struct Rounding {
  /// False: to the nearest, ties to even. True: up with the probability of the fraction, drawn from
  /// seed and the number's index (Gupta et al. 2015; AIMET: ROUND_STOCHASTIC, training only).
  bool stochastic = false;
  std::uint64_t seed = 0;
};

/// Returns codes: clamp(rint(x / scale) - offset, qmin, qmax), ties to even. AIMET: quantize.
/// Throws Error for a pass-through or float encoding and for NaN, which has no code.
RUNG_API std::vector<std::int32_t> quantize(std::span<const float> x, const Shape& shape,
                                            const Encoding& encoding);
/// The same for encodings per tensor or along axis 0.
RUNG_API std::vector<std::int32_t> quantize(std::span<const float> x, const Encoding& encoding);

/// Returns real numbers: (code + offset) * scale. AIMET: dequantize.
RUNG_API std::vector<float> dequantize(std::span<const std::int32_t> codes, const Shape& shape,
                                       const Encoding& encoding);
RUNG_API std::vector<float> dequantize(std::span<const std::int32_t> codes,
                                       const Encoding& encoding);

/// Writes y = dequantize(quantize(x)); y may be x. NaN stays NaN. AIMET: quantize_dequantize;
/// PyTorch: fake_quantize.
RUNG_API void quantize_dequantize(std::span<const float> x, const Shape& shape,
                                  const Encoding& encoding, std::span<float> y,
                                  const Rounding& rounding = {});
RUNG_API Tensor quantize_dequantize(const ConstTensor& x, const Encoding& encoding);

/// Holds d loss / d scale and d loss / d offset, one per channel or block, summed in double.
struct EncodingGradient {
  std::vector<double> scale, offset;
  std::int64_t count = 0;  ///< numbers that share a scale
};

/// Computes the straight-through gradients of quantize_dequantize: writes dx = dy where the code
/// before clamping lies on the grid (both ends included) and 0 elsewhere, unless dx is empty, and
/// returns those of scale and offset. With stochastic rounding the mask is that of the nearest code
/// and the gradient of scale follows the code that the same seed drew. AIMET:
/// QuantDequantFunction.backward.
RUNG_API EncodingGradient quantize_dequantize_backward(std::span<const float> x,
                                                       std::span<const float> dy,
                                                       const Shape& shape, const Encoding& encoding,
                                                       std::span<float> dx,
                                                       const Rounding& rounding = {});

/// Chains gradients of scale and offset to the stored min and max from which encoding_from_range()
/// made them; the rounding of the offset passes its gradient unchanged. dmin or dmax may be empty.
/// An unsigned_symmetric min is fixed at 0: its gradient is 0.
RUNG_API void range_gradient(const EncodingGradient& gradient, const Encoding& encoding,
                             std::span<const float> min, std::span<float> dmin,
                             std::span<float> dmax);

}  // namespace rung
