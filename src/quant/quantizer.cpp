#include "rung/quant/quantizer.h"

#include <algorithm>

#include "core/format.h"

namespace rung {

Quantizer::Quantizer(QuantizerOptions options) : options_(options) {
  make_grid(options.bitwidth, options.symmetry);  // throws for a wrong bitwidth
  require(!options.axis || *options.axis >= 0, "the channel axis must be >= 0, got {}",
          options.axis.value_or(0));
  require(options.channels > 0 && (options.axis || options.channels == 1),
          "a quantizer has one channel per tensor and at least one per channel axis, got {}",
          options.channels);
}

void Quantizer::set_bitwidth(int bitwidth) {
  make_grid(bitwidth, options_.symmetry);
  options_.bitwidth = bitwidth;
}

void Quantizer::set_symmetry(Symmetry symmetry) { options_.symmetry = symmetry; }

Symmetry Quantizer::resolved_symmetry() const {
  return resolve_symmetry(options_.symmetry, {saw_negative_ ? -1.0f : 0.0f, 0.0f});
}

void Quantizer::resolve(Range observed) { saw_negative_ = observed.min < 0.0f; }

Shape Quantizer::parameter_shape() const { return axis() ? Shape{channels()} : Shape{}; }

std::vector<Range> Quantizer::ranges(ParameterView parameters) const {
  const Encoding e = encoding(parameters);
  std::vector<Range> ranges;
  for (std::int64_t c = 0; c < e.channels(); ++c) ranges.push_back(e.effective_range(c));
  return ranges;
}

void Quantizer::constrain(MutableParameterView) const {}

void Quantizer::forward(const QuantizeIo& io) const {
  quantize_dequantize(io.x, io.shape, encoding(io.parameters), io.y);
}

void Quantizer::backward(const QuantizeGradIo& io) const {
  const Encoding e = encoding(io.parameters);
  chain(quantize_dequantize_backward(io.x, io.dy, io.shape, e, io.dx), e, io.parameters,
        io.dparameters);
}

}  // namespace rung
