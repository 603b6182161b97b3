#include <algorithm>

#include "ops/elementwise/elementwise.h"
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
    return same_shape(inputs);
  }
  void forward(const Io& io) const {
    map(io.input(0), io.output(0),
        [this](float x) { return std::min(std::max(alpha * x + beta, 0.0f), 1.0f); });
  }
  void backward(const GradIo& io) const {
    map_gradient(io, io.input(0), [this](float x, float dy) {
      const float line = alpha * x + beta;
      return line > 0.0f && line < 1.0f ? alpha * dy : 0.0f;
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
