#include "kernels/elementwise.h"
#include "ops/common.h"
#include "rung/core/parallel.h"
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

/// y = a * b, of equal shapes                                                            ONNX: Mul
struct Mul final : SimpleOp<Mul> {
  static constexpr std::string_view kType = "Mul";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 2);
    require(inputs[0] == inputs[1], "inputs must have equal shapes, got {} and {}", inputs[0],
            inputs[1]);
    return {inputs[0]};
  }
  void forward(const Io& io) const { multiply(io.input(0), io.input(1), io.output(0)); }
  void backward(const GradIo& io) const {
    if (io.wants(0)) multiply(io.output_grad(0), io.input(1), io.input_grad(0));
    if (io.wants(1)) multiply(io.output_grad(0), io.input(0), io.input_grad(1));
  }
};

}  // namespace

std::unique_ptr<Op> make_mul() { return std::make_unique<Mul>(); }

Var nn::mul(Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<Mul>(), {a, b}, name);
}

}  // namespace rung
