#include "ops/quantize/quantizer_reading.h"

#include "core/check.h"

namespace rung {

bool quantizes(const QuantizeDequantize& op, const Observers* observers) {
  return op.works() && (observers == nullptr || !observers->contains(op));
}

Observation* observation_of(const QuantizeDequantize& op, const Observers* observers) {
  return observers == nullptr || !op.enabled() ? nullptr : observers->find(op);
}

void QuantizerReading::read_parameters(const QuantizeDequantize& op, const Io& io,
                                       std::size_t first) {
  require(op.initialized(),
          "has no encoding yet: run compute_encodings(), set a range, or disable it");
  values.resize(op.quantizer().parameters().size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = io.input(first + i).span();
    values[i].assign(value.begin(), value.end());
  }
  parameters.assign(values.begin(), values.end());
}

void QuantizerReading::read_encoding(const QuantizeDequantize& op) {
  const Quantizer& quantizer = op.quantizer();
  encoding = quantizer.encoding(parameters);
  // A user's quantizer may return anything; kernels trust what is read here.
  const auto scales = static_cast<std::size_t>(quantizer.channels());
  require(encoding.scale.size() == scales && encoding.offset.size() == scales,
          "a quantizer of kind {} must have {} scales and offsets, got {} and {}", quantizer.kind(),
          scales, encoding.scale.size(), encoding.offset.size());
  require(encoding.grid.qmax - encoding.grid.qmin < std::int64_t{1} << quantizer.bitwidth(),
          "a quantizer of kind {} and {} bits has more codes than that: {} .. {}", quantizer.kind(),
          quantizer.bitwidth(), encoding.grid.qmin, encoding.grid.qmax);
  for (const std::int64_t offset : encoding.offset)
    require(encoding.grid.qmin <= -offset && -offset <= encoding.grid.qmax,
            "a quantizer of kind {} must keep zero on its grid {} .. {}, got the offset {}",
            quantizer.kind(), encoding.grid.qmin, encoding.grid.qmax, offset);
}

kernels::AffineParams QuantizerReading::params(std::int64_t channel) const {
  const auto c = static_cast<std::size_t>(channel);
  return {encoding.scale[c], static_cast<float>(encoding.offset[c]),
          static_cast<float>(encoding.grid.qmin), static_cast<float>(encoding.grid.qmax)};
}

void QuantizerReading::pack(const View& y, std::uint8_t* codes) const {
  kernels::pack(y.data, codes, y.count, params());
}

void QuantizerReading::unpack(const std::uint8_t* codes, const View& y) const {
  kernels::unpack(codes, y.data, y.count, params());
}

}  // namespace rung
