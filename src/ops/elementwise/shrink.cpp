#include "ops/elementwise/elementwise.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y = x + bias   where x < -lambd
///     x - bias   where x > lambd
///     0          elsewhere                                                            ONNX: Shrink
struct Shrink final : SimpleOp<Shrink> {
  static constexpr std::string_view kType = "Shrink";
  static constexpr Layout kLayout = Layout::elementwise;  // lambd may be negative
  float bias = 0.0f, lambd = 0.5f;
  void visit(AttributeVisitor& visitor) override {
    visitor("bias", bias);
    visitor("lambd", lambd);
  }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  void forward(const Io& io) const {
    map(io.input(0), io.output(0), [this](float x) {
      return x < -lambd ? x + bias : x <= lambd ? 0.0f : x - bias;  // NaN stays NaN
    });
  }
  void backward(const GradIo& io) const {
    map_gradient(io, io.input(0), [this](float x, float dy) {
      return x < -lambd ? dy : x <= lambd ? 0.0f : dy;
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_shrink() { return std::make_unique<Shrink>(); }

Var nn::shrink(Var x, const ShrinkOptions& options, std::string_view name) {
  auto op = std::make_unique<Shrink>();
  op->bias = options.bias;
  op->lambd = options.lambda;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
