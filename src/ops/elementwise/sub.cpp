#include "ops/elementwise/broadcast.h"
#include "rung/ops/arithmetic.h"

namespace rung {
namespace {

/// y = a - b                                                                             ONNX: Sub
struct Sub final : SimpleOp<Sub> {
  static constexpr std::string_view kType = "Sub";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 2);
    return {broadcast_shape(inputs[0], inputs[1])};
  }
  Traits traits() const override { return {.arithmetic = true}; }
  Needs backward_needs() const override { return Needs::nothing(); }
  void forward(const Io& io) const {
    const View &a = io.input(0), &b = io.input(1);
    broadcast_of(a, b).map(a.data, b.data, io.output(0).data,
                           [](float l, float r) { return l - r; });
  }
  void backward(const GradIo& io) const {
    const Broadcast both = broadcast_of(io.input(0), io.input(1));
    const float* dy = io.output_grad(0).data;
    // The gradient reads no operand: dy stands in for both, at places that exist in it.
    if (io.wants(0))
      both.reduce<0>(dy, dy, dy, io.input_grad(0).data, [](float d, float, float) { return d; });
    if (io.wants(1))
      both.reduce<1>(dy, dy, dy, io.input_grad(1).data, [](float d, float, float) { return -d; });
  }
};

}  // namespace

std::unique_ptr<Op> make_sub() { return std::make_unique<Sub>(); }

Var nn::sub(Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<Sub>(), {a, b}, name);
}

}  // namespace rung
