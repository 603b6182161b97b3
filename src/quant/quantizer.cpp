#include "rung/quant/quantizer.h"

#include "core/check.h"

namespace rung {

Quantizer::Quantizer(QuantizerOptions options) : options_(options) {
  make_grid(options.bitwidth, options.symmetry);  // throws for a wrong bitwidth
  require(!options.axis || *options.axis >= 0, "the channel axis must be >= 0, got {}",
          options.axis.value_or(0));
  require(options.channels > 0 && (options.axis || options.channels == 1),
          "a quantizer has one channel per tensor and at least one per channel axis, got {}",
          options.channels);
  if (!options.blocks) return;
  const auto [axis, size, count] = *options.blocks;
  require(options.axis && axis >= 0 && axis != *options.axis && size > 0 && count > 0,
          "blocks need a channel axis and lie along another one; got {} blocks of {} along axis {}",
          count, size, axis);
}

void Quantizer::set_bitwidth(int bitwidth) {
  make_grid(bitwidth, options_.symmetry);
  options_.bitwidth = bitwidth;
  ++version_;
}

void Quantizer::set_symmetry(Symmetry symmetry) {
  options_.symmetry = symmetry;
  ++version_;
}

Symmetry Quantizer::resolved_symmetry() const {
  return resolve_symmetry(options_.symmetry, {saw_negative_ ? -1.0f : 0.0f, 0.0f});
}

void Quantizer::resolve(Range observed) {
  const bool sees_negative = observed.min < 0.0f;
  if (sees_negative != saw_negative_) ++version_;
  saw_negative_ = sees_negative;
}

std::vector<Range> Quantizer::ranges(ParameterView parameters) const {
  const Encoding e = encoding(parameters);
  std::vector<Range> ranges;
  for (std::int64_t c = 0; c < e.channels(); ++c) ranges.push_back(e.effective_range(c));
  return ranges;
}

void Quantizer::constrain(MutableParameterView) const {}

void Quantizer::forward(const QuantizeIo& io) const {
  quantize_dequantize(io.x, io.shape, encoding(io.parameters), io.y, io.rounding);
}

void Quantizer::backward(const QuantizeGradIo& io) const {
  const Encoding e = encoding(io.parameters);
  chain(quantize_dequantize_backward(io.x, io.dy, io.shape, e, io.dx, io.rounding), e,
        io.parameters, io.dparameters);
}

}  // namespace rung
