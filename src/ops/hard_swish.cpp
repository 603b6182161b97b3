#include <algorithm>
#include <cmath>

#include "ops/common.h"
#include "rung/core/parallel.h"
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
    require_input_count(inputs, 1);
    return {inputs[0]};
  }
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y.data[i] = x.data[i] * std::min(std::max(x.data[i] + 3.0f, 0.0f), 6.0f) / 6.0f;
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &x = io.input(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float slope = x.data[i] / 3.0f + 0.5f;
        dx.data[i] = x.data[i] < -3.0f ? 0.0f : x.data[i] < 3.0f ? dy.data[i] * slope : dy.data[i];
      }
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_hard_swish() { return std::make_unique<HardSwish>(); }

Var nn::hardswish(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<HardSwish>(), {x}, name);
}

}  // namespace rung
