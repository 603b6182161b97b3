#include <algorithm>

#include "core/join.h"
#include "ops/elementwise/broadcast.h"
#include "rung/ops/shape_ops.h"

namespace rung {
namespace {

/// A repeated operand of which nothing is added or multiplied; its gradient is summed.
class ExpandKernel final : public Kernel {
 public:
  explicit ExpandKernel(const KernelContext& context)
      : both_(context.inputs[0], context.outputs[0]) {
    input_formats.assign(context.inputs.size(), Format::plain);
    output_formats = {Format::plain};
    needs = Needs::nothing();
    batch_ = context.inputs.size() > 1;
  }
  std::string name() const override { return "expand"; }

  void forward(const Io& io) override {
    float* y = io.output(0).data;
    both_.map(io.input(0).data, y, y, [](float x, float) { return x; });
  }
  void backward(const GradIo& io) override {
    const float* dy = io.output_grad(0).data;
    if (io.wants(0))
      both_.reduce<0>(dy, dy, dy, io.input_grad(0).data, [](float d, float, float) { return d; });
    if (batch_ && io.wants(1)) std::fill_n(io.input_grad(1).data, io.input_grad(1).count, 0.0f);
  }

 private:
  Broadcast both_;
  bool batch_ = false;
};

}  // namespace

std::vector<Shape> Expand::infer(std::span<const Shape> inputs) const {
  const bool has_batch = std::ranges::find(shape, 0) != shape.end();
  require_input_count(inputs, has_batch ? 2 : 1);
  require(!has_batch || inputs[1].rank() > 0, "the batch size is not known from a scalar");
  std::vector<std::int64_t> extents;
  for (const std::int64_t extent : shape) {
    require(extent >= 0, "shape [{}] has a negative extent", join(shape));
    extents.push_back(extent == 0 ? inputs[1][0] : extent);
  }
  return {broadcast_shape(inputs[0], Shape(std::move(extents)))};
}

std::unique_ptr<Kernel> Expand::compile(const KernelContext& context) const {
  return std::make_unique<ExpandKernel>(context);
}

Var nn::expand(Var x, std::vector<std::int64_t> shape, std::string_view name) {
  auto op = std::make_unique<Expand>();
  op->shape = std::move(shape);
  return x.graph().add(std::move(op), {x}, name);
}

Var nn::expand(Var x, Var batch, std::vector<std::int64_t> shape, std::string_view name) {
  auto op = std::make_unique<Expand>();
  op->shape = std::move(shape);
  return x.graph().add(std::move(op), {x, batch}, name);
}

}  // namespace rung
