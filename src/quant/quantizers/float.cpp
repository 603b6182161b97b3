#include "core/check.h"
#include "rung/core/parallel.h"
#include "rung/quant/quantizer.h"

namespace rung {
namespace {

constexpr std::int64_t kGrain = 1 << 13;

QuantizerOptions options_of(const FloatFormat& format) {
  return {.bitwidth = format.bitwidth(), .symmetry = Symmetry::symmetric};
}

}  // namespace

FloatQuantizer::FloatQuantizer(const FloatFormat& format)
    : Quantizer(options_of(format)), format_(format) {}

void FloatQuantizer::visit(AttributeVisitor& visitor) {
  std::string format(format_.name);
  visitor("format", format);
  if (format == format_.name) return;
  format_ = float_format(format);
  Quantizer::set_bitwidth(format_.bitwidth());
}

Encoding FloatQuantizer::encoding(ParameterView) const {
  return {.bitwidth = bitwidth(),
          .symmetry = Symmetry::symmetric,
          .grid = grid(),
          .axis = {},
          .scale = {},
          .offset = {},
          .format = format_};
}

void FloatQuantizer::forward(const QuantizeIo& io) const {
  parallel_for(
      static_cast<std::int64_t>(io.x.size()), kGrain, [&](std::int64_t begin, std::int64_t end) {
        const auto first = static_cast<std::size_t>(begin);
        const auto count = static_cast<std::size_t>(end - begin);
        float_quantize_dequantize(io.x.subspan(first, count), format_, io.y.subspan(first, count));
      });
}

void FloatQuantizer::backward(const QuantizeGradIo& io) const {
  if (!io.dx.empty()) float_quantize_dequantize_backward(io.x, io.dy, format_, io.dx);
}

void FloatQuantizer::set_bitwidth(int bitwidth) {
  require(bitwidth == format_.bitwidth(), "{} has {} bits, not {}: a quantizer keeps its format",
          format_.name, format_.bitwidth(), bitwidth);
}

std::unique_ptr<Quantizer> FloatQuantizer::clone() const {
  return std::make_unique<FloatQuantizer>(*this);
}

}  // namespace rung
