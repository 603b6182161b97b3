#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "rung/quant/quantizer.h"

// LSQ learns the scale itself. Its raw gradient is a sum over all numbers that share it, so it
// would take far larger steps, relative to its size, than the numbers do; the factor of equation 4
// in the paper evens that out.

namespace rung {

std::vector<ParameterSpec> LsqQuantizer::parameters() const {
  const Shape shape = granularity().shape();
  return {{"scale", shape, 1.0f},
          {.name = "offset", .shape = shape, .initial = 0.0f, .learnable = false}};
}

Encoding LsqQuantizer::encoding(ParameterView parameters) const {
  Encoding encoding{.bitwidth = bitwidth(),
                    .symmetry = resolved_symmetry(),
                    .grid = grid(),
                    .axis = axis(),
                    .scale = {parameters[0].begin(), parameters[0].end()},
                    .offset = std::vector<std::int64_t>(parameters[0].size(), 0),
                    .blocks = granularity().blocks};
  std::ranges::transform(parameters[1], encoding.offset.begin(), [](float offset) {
    return static_cast<std::int64_t>(std::nearbyint(offset));
  });
  return encoding;
}

void LsqQuantizer::initialize(std::span<const Range> ranges,
                              MutableParameterView parameters) const {
  for (std::size_t c = 0; c < ranges.size(); ++c) {
    const Encoding one = encoding_from_range(ranges[c], bitwidth(), resolved_symmetry());
    parameters[0][c] = one.scale[0];
    parameters[1][c] = static_cast<float>(one.offset[0]);
  }
}

void LsqQuantizer::constrain(MutableParameterView parameters) const {
  for (float& scale : parameters[0]) {
    require(!std::isnan(scale), "a learned scale became NaN; lower the learning rate");
    // The largest code must stay finite.
    const float largest =
        std::numeric_limits<float>::max() / static_cast<float>(grid().steps() + 1);
    scale = std::clamp(scale, grid().minimum_scale(), largest);
  }
}

void LsqQuantizer::chain(const EncodingGradient& gradient, const Encoding& encoding, ParameterView,
                         MutableParameterView dparameters) const {
  const std::span<float> dscale = dparameters[0];
  for (std::size_t c = 0; c < dscale.size(); ++c) {
    const auto largest = static_cast<double>(encoding.grid.qmax + encoding.offset[c]);
    const double numbers = static_cast<double>(gradient.count) * std::max(1.0, largest);
    dscale[c] = static_cast<float>(gradient.scale[c] / std::sqrt(std::max(1.0, numbers)));
  }
  std::ranges::fill(dparameters[1], 0.0f);
}

std::unique_ptr<Quantizer> LsqQuantizer::clone() const {
  return std::make_unique<LsqQuantizer>(*this);
}

}  // namespace rung
