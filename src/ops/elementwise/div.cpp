#include "ops/elementwise/broadcast.h"
#include "rung/ops/arithmetic.h"

namespace rung {
namespace {

/// y = a / b                                                                             ONNX: Div
struct Div final : SimpleOp<Div> {
  static constexpr std::string_view kType = "Div";
  static constexpr Layout kLayout = Layout::elementwise;  // 0 / 0 is no zero: padding is cleared

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 2);
    return {broadcast_shape(inputs[0], inputs[1])};
  }
  Traits traits() const override { return {.arithmetic = true}; }
  void forward(const Io& io) const {
    const View &a = io.input(0), &b = io.input(1);
    broadcast_of(a, b).map(a.data, b.data, io.output(0).data,
                           [](float l, float r) { return l / r; });
  }
  void backward(const GradIo& io) const {
    const View &a = io.input(0), &b = io.input(1);
    const float* dy = io.output_grad(0).data;
    const Broadcast both = broadcast_of(a, b);
    if (io.wants(0))
      both.reduce<0>(dy, a.data, b.data, io.input_grad(0).data,
                     [](float d, float, float r) { return d / r; });
    if (io.wants(1))
      both.reduce<1>(dy, a.data, b.data, io.input_grad(1).data,
                     [](float d, float l, float r) { return -d * (l / r) / r; });
  }
};

}  // namespace

std::unique_ptr<Op> make_div() { return std::make_unique<Div>(); }

Var nn::div(Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<Div>(), {a, b}, name);
}

}  // namespace rung
