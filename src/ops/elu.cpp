#include <algorithm>
#include <cmath>

#include "ops/common.h"
#include "rung/core/parallel.h"
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
    require_input_count(inputs, 1);
    return {inputs[0]};
  }
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y.data[i] = x.data[i] > 0.0f ? x.data[i] : alpha * std::expm1(x.data[i]);
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &x = io.input(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        dx.data[i] = x.data[i] > 0.0f ? dy.data[i] : dy.data[i] * alpha * std::exp(x.data[i]);
    });
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
