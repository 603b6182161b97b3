#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/quantsim.h"

// What stays the same when batch norms are folded to scale.

namespace rung::test {

using Codes = std::vector<std::int32_t>;

inline Codes codes_of(QuantizationSimModel& sim, const std::string& weight) {
  return quantize(sim.graph().parameter(weight).value().data(), sim.quantizer(weight).encoding());
}

/// Takes out the quantizers of activations: what is left differs by rounding of floats only.
inline Tensor without_activation_quantizers(QuantizationSimModel& sim, const Tensor& x) {
  std::vector<QuantizerHandle> disabled;
  for (QuantizerHandle each : sim.quantizers())
    if (each.place() != QuantizerPlace::parameter && each.enabled()) disabled.push_back(each);
  for (QuantizerHandle& each : disabled) each.disable();
  const Tensor y = sim.executor().forward(x);
  for (QuantizerHandle& each : disabled) each.enable();
  return y;
}

}  // namespace rung::test
