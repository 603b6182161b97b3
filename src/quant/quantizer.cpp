#include "rung/quant/quantizer.h"

#include <algorithm>
#include <array>

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

bool is_describable(const Quantizer& quantizer) {
  constexpr std::array kKinds = {AffineQuantizer::kKind, LsqQuantizer::kKind,
                                 GroupedBlockQuantizer::kKind, FloatQuantizer::kKind};
  return std::ranges::find(kKinds, quantizer.kind()) != kKinds.end();
}

QuantizerSpec describe(const Quantizer& quantizer) {
  require(is_describable(quantizer),
          "the quantizer is of kind \"{}\", which no file can bring back", quantizer.kind());
  QuantizerSpec spec{.kind = std::string(quantizer.kind()), .options = quantizer.options()};
  if (const auto* grouped = dynamic_cast<const GroupedBlockQuantizer*>(&quantizer))
    spec.grouping = grouped->grouping();
  if (const auto* floating = dynamic_cast<const FloatQuantizer*>(&quantizer))
    spec.format = floating->format().name;
  return spec;
}

std::unique_ptr<Quantizer> make_quantizer(const QuantizerSpec& spec) {
  if (spec.kind == AffineQuantizer::kKind) return std::make_unique<AffineQuantizer>(spec.options);
  if (spec.kind == LsqQuantizer::kKind) return std::make_unique<LsqQuantizer>(spec.options);
  if (spec.kind == GroupedBlockQuantizer::kKind)
    return std::make_unique<GroupedBlockQuantizer>(spec.options, spec.grouping);
  if (spec.kind == FloatQuantizer::kKind)
    return std::make_unique<FloatQuantizer>(float_format(spec.format));
  fail("unknown kind of quantizer \"{}\"; there are affine, lsq, grouped_block and float",
       spec.kind);
}

}  // namespace rung
