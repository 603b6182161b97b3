#include <algorithm>

#include "ops/elementwise/elementwise.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y = x * min(max(x + 3, 0), 6) / 6                                                ONNX: HardSwish
/// The gradient is 0 below -3 and 1 from 3 on, as that of torch's vectors (its loop over the last
/// few elements takes 1.5 at 3).
struct HardSwish final : SimpleOp<HardSwish> {
  static constexpr std::string_view kType = "HardSwish";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  void forward(const Io& io) const {
    map(io.input(0), io.output(0),
        [](float x) { return x * std::min(std::max(x + 3.0f, 0.0f), 6.0f) / 6.0f; });
  }
  void backward(const GradIo& io) const {
    map_gradient(io, io.input(0), [](float x, float dy) {
      const float slope = x / 3.0f + 0.5f;
      return x < -3.0f ? 0.0f : x < 3.0f ? dy * slope : dy;
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_hard_swish() { return std::make_unique<HardSwish>(); }

Var nn::hardswish(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<HardSwish>(), {x}, name);
}

}  // namespace rung
