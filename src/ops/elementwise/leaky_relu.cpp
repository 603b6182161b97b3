#include "kernels/elementwise.h"
#include "ops/elementwise/elementwise.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// y = x          where x > 0
///     alpha * x  elsewhere                                                        ONNX: LeakyRelu
struct LeakyRelu final : SimpleOp<LeakyRelu> {
  static constexpr std::string_view kType = "LeakyRelu";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;
  float alpha = 0.01f;

  void visit(AttributeVisitor& visitor) override { visitor("alpha", alpha); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::elementwise_kernels().leaky_relu(x.data + begin, y.data + begin, end - begin, alpha);
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &x = io.input(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::elementwise_kernels().leaky_relu_backward(x.data + begin, dy.data + begin,
                                                         dx.data + begin, end - begin, alpha);
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_leaky_relu() { return std::make_unique<LeakyRelu>(); }

Var nn::leaky_relu(Var x, const LeakyReluOptions& options, std::string_view name) {
  auto op = std::make_unique<LeakyRelu>();
  op->alpha = options.alpha;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
