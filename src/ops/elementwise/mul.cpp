#include "kernels/elementwise.h"
#include "ops/elementwise/broadcast.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

void multiply(const View& a, const View& b, const View& y) {
  parallel_for(y.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::elementwise_kernels().multiply(a.data + begin, b.data + begin, y.data + begin,
                                            end - begin);
  });
}

/// y = a * b                                                                             ONNX: Mul
struct Mul final : SimpleOp<Mul> {
  static constexpr std::string_view kType = "Mul";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 2);
    return {broadcast_shape(inputs[0], inputs[1])};
  }
  Traits traits() const override { return {.arithmetic = true}; }
  void forward(const Io& io) const {
    const View &a = io.input(0), &b = io.input(1), &y = io.output(0);
    if (*a.shape == *b.shape) return multiply(a, b, y);
    broadcast_of(a, b).map(a.data, b.data, y.data, [](float l, float r) { return l * r; });
  }
  void backward(const GradIo& io) const {
    const View &a = io.input(0), &b = io.input(1), &dy = io.output_grad(0);
    if (*a.shape == *b.shape) {
      if (io.wants(0)) multiply(dy, b, io.input_grad(0));
      if (io.wants(1)) multiply(dy, a, io.input_grad(1));
      return;
    }
    const Broadcast both = broadcast_of(a, b);
    if (io.wants(0))
      both.reduce<0>(dy.data, a.data, b.data, io.input_grad(0).data,
                     [](float d, float, float r) { return d * r; });
    if (io.wants(1))
      both.reduce<1>(dy.data, a.data, b.data, io.input_grad(1).data,
                     [](float d, float l, float) { return d * l; });
  }
};

}  // namespace

std::unique_ptr<Op> make_mul() { return std::make_unique<Mul>(); }

Var nn::mul(Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<Mul>(), {a, b}, name);
}

}  // namespace rung
