#include "kernels/relu.h"

#include "ops/common.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

class ReluKernel final : public Kernel {
 public:
  explicit ReluKernel(const KernelContext& context) {
    input_formats = output_formats = {context.formats[0]};
    needs = Needs::outputs();
    keeps_reach = true;
  }
  std::string name() const override { return "relu"; }
  void forward(const Io& io) override {
    kernels::relu(io.input(0).data, io.output(0).data, io.output(0).count);
  }
  void backward(const GradIo& io) override {
    kernels::pass_between(io.output_grad(0).data, io.output(0).data, io.input_grad(0).data,
                          io.output(0).count, {.low = 0.0f});
  }
};

}  // namespace

std::vector<Shape> Relu::infer(std::span<const Shape> in) const {
  require_input_count(in, 1);
  return {in[0]};
}

std::unique_ptr<Kernel> Relu::compile(const KernelContext& context) const {
  return std::make_unique<ReluKernel>(context);
}

}  // namespace rung
