#include <cmath>

#include "kernels/elementwise.h"
#include "ops/elementwise/elementwise.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// y = 1 / (1 + exp(-x))                                                             ONNX: Sigmoid
struct Sigmoid final : SimpleOp<Sigmoid> {
  static constexpr std::string_view kType = "Sigmoid";
  static constexpr Layout kLayout = Layout::elementwise;  // sigmoid(0) = 1/2: padding is cleared

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  Needs backward_needs() const override { return Needs::outputs(); }
  void forward(const Io& io) const {
    // exp overflows to infinity for very negative x, and 1 / infinity is the right 0.
    map(io.input(0), io.output(0), [](float x) { return 1.0f / (1.0f + std::exp(-x)); });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &y = io.output(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(y.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::elementwise_kernels().sigmoid_backward(y.data + begin, dy.data + begin,
                                                      dx.data + begin, end - begin);
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_sigmoid() { return std::make_unique<Sigmoid>(); }

Var nn::sigmoid(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<Sigmoid>(), {x}, name);
}

}  // namespace rung
