#include <algorithm>
#include <cmath>

#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))                                          ONNX: Tanh
struct Tanh final : SimpleOp<Tanh> {
  static constexpr std::string_view kType = "Tanh";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    return {inputs[0]};
  }
  Needs backward_needs() const override { return Needs::outputs(); }
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y.data[i] = std::tanh(x.data[i]);
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &y = io.output(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(y.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        dx.data[i] = dy.data[i] * (1.0f - y.data[i] * y.data[i]);
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_tanh() { return std::make_unique<Tanh>(); }

Var nn::tanh(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<Tanh>(), {x}, name);
}

}  // namespace rung
