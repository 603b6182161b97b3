#include <algorithm>
#include <cmath>

#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y = min(max(alpha * x + beta, 0), 1). The gradient is 0 at and beyond both ends, as in PyTorch.
///                                                                               ONNX: HardSigmoid
struct HardSigmoid final : SimpleOp<HardSigmoid> {
  static constexpr std::string_view kType = "HardSigmoid";
  static constexpr Layout kLayout = Layout::elementwise;  // beta at 0: padding is cleared
  float alpha = 0.2f, beta = 0.5f;                        // ONNX's defaults
  void visit(AttributeVisitor& visitor) override {
    visitor("alpha", alpha);
    visitor("beta", beta);
  }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    return {inputs[0]};
  }
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y.data[i] = std::min(std::max(alpha * x.data[i] + beta, 0.0f), 1.0f);
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &x = io.input(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float line = alpha * x.data[i] + beta;
        dx.data[i] = line > 0.0f && line < 1.0f ? alpha * dy.data[i] : 0.0f;
      }
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_hard_sigmoid() { return std::make_unique<HardSigmoid>(); }

Var nn::hardsigmoid(Var x, const HardsigmoidOptions& options, std::string_view name) {
  auto op = std::make_unique<HardSigmoid>();
  op->alpha = options.alpha;
  op->beta = options.beta;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
