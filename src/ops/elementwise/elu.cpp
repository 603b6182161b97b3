#include <cmath>

#include "ops/elementwise/elementwise.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y = x                      where x > 0
///     alpha * (exp(x) - 1)   elsewhere, also for the gradient at 0                       ONNX: Elu
struct Elu final : SimpleOp<Elu> {
  static constexpr std::string_view kType = "Elu";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;
  float alpha = 1.0f;
  void visit(AttributeVisitor& visitor) override { visitor("alpha", alpha); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  void forward(const Io& io) const {
    map(io.input(0), io.output(0),
        [this](float x) { return x > 0.0f ? x : alpha * std::expm1(x); });
  }
  void backward(const GradIo& io) const {
    map_gradient(io, io.input(0),
                 [this](float x, float dy) { return x > 0.0f ? dy : dy * alpha * std::exp(x); });
  }
};

}  // namespace

std::unique_ptr<Op> make_elu() { return std::make_unique<Elu>(); }

Var nn::elu(Var x, const EluOptions& options, std::string_view name) {
  auto op = std::make_unique<Elu>();
  op->alpha = options.alpha;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
