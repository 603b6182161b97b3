#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

#include "quant/channels.h"
#include "rung/graph/kernel.h"
#include "rung/quant/quantizer.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"

// How AIMET 2.42 computes with fixed ranges: by PyTorch's fake_quantize, which multiplies by
// 1 / scale where the library (and AIMET while ranges are learned) divides. That matters on ties
// only, but a search has some: the largest number of a channel is 127.5 steps of its full range.

namespace golden {

/// Rounds as PyTorch's fake_quantize does; its ranges cannot be trained.
class PyTorchQuantizer final : public rung::RangeQuantizer {
 public:
  explicit PyTorchQuantizer(const rung::QuantizerOptions& options) : RangeQuantizer(options) {}
  std::string_view kind() const override { return "test.pytorch"; }
  rung::Encoding encoding(rung::ParameterView parameters) const override {
    return rung::encoding_from_range(parameters[0], parameters[1], bitwidth(), resolved_symmetry(),
                                     granularity());
  }
  bool runs_fused() const override { return false; }
  void forward(const rung::QuantizeIo& io) const override {
    each(io.x, io.shape, encoding(io.parameters), [&](std::size_t i, float code, const Scale& s) {
      io.y[i] = (std::clamp(code, s.qmin, s.qmax) - s.zero_point) * s.scale;
    });
  }
  void backward(const rung::QuantizeGradIo& io) const override {
    for (const std::span<float> gradient : io.dparameters) std::ranges::fill(gradient, 0.0f);
    if (io.dx.empty()) return;
    each(io.x, io.shape, encoding(io.parameters), [&](std::size_t i, float code, const Scale& s) {
      io.dx[i] = code >= s.qmin && code <= s.qmax ? io.dy[i] : 0.0f;
    });
  }
  std::unique_ptr<rung::Quantizer> clone() const override {
    return std::make_unique<PyTorchQuantizer>(*this);
  }

 private:
  struct Scale {
    float scale, zero_point, qmin, qmax;
  };
  template <typename Body>
  static void each(std::span<const float> x, const rung::Shape& shape, const rung::Encoding& e,
                   const Body& body) {
    const rung::ChannelRuns runs(shape, e.granularity());
    for (std::int64_t run = 0; run < runs.count(); ++run) {
      const auto c = static_cast<std::size_t>(runs.channel(run));
      const Scale s{e.scale[c], static_cast<float>(-e.offset[c]), static_cast<float>(e.grid.qmin),
                    static_cast<float>(e.grid.qmax)};
      const float inverse = 1.0f / s.scale;
      for (std::int64_t k = 0; k < runs.length(); ++k) {
        const auto i = static_cast<std::size_t>(runs.start(run) + k);
        body(i, std::nearbyint(x[i] * inverse) + s.zero_point, s);
      }
    }
  }
};

/// Makes all quantizers of the sim compute so.
inline void compute_as_pytorch(rung::QuantizationSimModel& sim) {
  for (const rung::QuantizerHandle& each : sim.quantizers())
    rung::replace_quantizer(sim.graph(), each,
                            std::make_unique<PyTorchQuantizer>(each.op().quantizer().options()));
}

}  // namespace golden
