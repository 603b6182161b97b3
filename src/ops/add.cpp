#include "core/format.h"
#include "kernels/relu.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

class AddKernel final : public Kernel {
 public:
  explicit AddKernel(const KernelContext& context) : relu_(context.fused_relu) {
    // If only one side comes blocked, the other is reordered to it.
    const Format format = std::max(context.formats[0], context.formats[1]);
    input_formats = {format, format};
    output_formats = {format};
    needs = relu_ ? Needs::outputs() : Needs::nothing();
    first_wanted_ = context.wants[0];
  }
  std::string name() const override { return relu_ ? "add+relu" : "add"; }

  void forward(const Io& io) override {
    (relu_ ? kernels::add_relu : kernels::add)(io.input(0).data, io.input(1).data,
                                               io.output(0).data, io.output(0).count);
  }
  void backward(const GradIo& io) override {  // only with relu: else the gradient is dy itself
    const std::size_t i = io.wants(0) ? 0 : 1;
    kernels::relu_backward(io.output_grad(0).data, io.output(0).data, io.input_grad(i).data,
                           io.output(0).count);
  }
  int gradient_is_output(std::size_t) const override { return relu_ ? -1 : 0; }
  int gradient_is_input(std::size_t i) const override {
    return relu_ && i == 1 && first_wanted_ ? 0 : -1;
  }

 private:
  bool relu_, first_wanted_;
};

}  // namespace

std::vector<Shape> Add::infer(std::span<const Shape> in) const {
  require(in.size() == 2 && in[0] == in[1], "takes two inputs of equal shape, got {}",
          fmt::join(in, " and "));
  return {in[0]};
}

std::unique_ptr<Kernel> Add::compile(const KernelContext& context) const {
  return std::make_unique<AddKernel>(context);
}

}  // namespace rung
