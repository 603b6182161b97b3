#include "core/check.h"
#include "rung/quant/quantizer.h"

// The parameters are min and max, as in AIMET: both mean something to a reader, and a learning rate
// for them is in the unit of the data.

namespace rung {

std::vector<ParameterSpec> RangeQuantizer::parameters() const {
  const Shape shape = granularity().shape();
  return {{"min", shape, -1.0f}, {"max", shape, 1.0f}};
}

Encoding AffineQuantizer::encoding(ParameterView parameters) const {
  return encoding_from_range(parameters[0], parameters[1], bitwidth(), resolved_symmetry(),
                             granularity());
}

void RangeQuantizer::initialize(std::span<const Range> ranges,
                                MutableParameterView parameters) const {
  for (std::size_t c = 0; c < ranges.size(); ++c) {
    parameters[0][c] = ranges[c].min;
    parameters[1][c] = ranges[c].max;
  }
}

std::vector<Range> RangeQuantizer::ranges(ParameterView parameters) const {
  std::vector<Range> ranges;
  for (std::size_t c = 0; c < parameters[0].size(); ++c)
    ranges.push_back({parameters[0][c], parameters[1][c]});
  return ranges;
}

void RangeQuantizer::constrain(MutableParameterView parameters) const {
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    const Range legal =
        legal_learned_range({parameters[0][c], parameters[1][c]}, grid(), resolved_symmetry());
    parameters[0][c] = legal.min;
    parameters[1][c] = legal.max;
  }
}

void RangeQuantizer::chain(const EncodingGradient& gradient, const Encoding& encoding,
                           ParameterView parameters, MutableParameterView dparameters) const {
  if (!options().grid_rules.limit_encodings)
    return range_gradient(gradient, encoding, parameters[0], dparameters[0], dparameters[1]);
  // Version 2.42 clamps offsets, and PyTorch's clamp passes no gradient at its ends: a min of 0
  // does not follow what is clipped.
  EncodingGradient limited = gradient;
  for (std::size_t c = 0; c < limited.offset.size(); ++c) {
    const std::int64_t zero_point = -encoding.offset[c];
    if (zero_point <= encoding.grid.qmin || zero_point >= encoding.grid.qmax)
      limited.offset[c] = 0.0;
  }
  range_gradient(limited, encoding, parameters[0], dparameters[0], dparameters[1]);
}

std::unique_ptr<Quantizer> AffineQuantizer::clone() const {
  return std::make_unique<AffineQuantizer>(*this);
}

}  // namespace rung
