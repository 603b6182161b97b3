#include <cmath>

#include "ops/elementwise/elementwise.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))                                          ONNX: Tanh
struct Tanh final : SimpleOp<Tanh> {
  static constexpr std::string_view kType = "Tanh";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  Needs backward_needs() const override { return Needs::outputs(); }
  void forward(const Io& io) const {
    map(io.input(0), io.output(0), [](float x) { return std::tanh(x); });
  }
  void backward(const GradIo& io) const {
    map_gradient(io, io.output(0), [](float y, float dy) { return dy * (1.0f - y * y); });
  }
};

}  // namespace

std::unique_ptr<Op> make_tanh() { return std::make_unique<Tanh>(); }

Var nn::tanh(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<Tanh>(), {x}, name);
}

}  // namespace rung
