#include "ops/elementwise/broadcast.h"
#include "ops/shape/axes.h"
#include "rung/ops/shape_ops.h"

namespace rung {
namespace {

/// Returns x with extent 1 for the averaged axes.
Shape averaged(const std::vector<std::int64_t>& axes, const Shape& x) {
  const std::vector<bool> named = require_axes(axes, x.rank());
  std::vector<std::int64_t> extents(x.dims().begin(), x.dims().end());
  for (std::size_t axis = 0; axis < extents.size(); ++axis)
    if (axes.empty() || named[axis]) extents[axis] = 1;
  return Shape(std::move(extents));
}

/// An average is the sum over what a repeated operand is repeated to, divided by how often it is.
class ReduceMeanKernel final : public Kernel {
 public:
  ReduceMeanKernel(const Shape& mean, const Shape& x)
      : both_(mean, x), share_(static_cast<double>(mean.numel()) / static_cast<double>(x.numel())) {
    input_formats = output_formats = {Format::plain};
    needs = Needs::nothing();
  }
  std::string name() const override { return "reduce_mean"; }

  void forward(const Io& io) override {
    const float* x = io.input(0).data;
    both_.reduce<0>(x, x, x, io.output(0).data,
                    [&](float value, float, float) { return static_cast<double>(value) * share_; });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    const View &dy = io.output_grad(0), &dx = io.input_grad(0);
    const auto share = static_cast<float>(share_);
    both_.map(dy.data, dx.data, dx.data, [=](float d, float) { return d * share; });
  }

 private:
  Broadcast both_;
  double share_;
};

}  // namespace

void ReduceMean::visit(AttributeVisitor& visitor) {
  visitor("axes", axes);
  visitor("keepdims", keepdims);
}

std::vector<Shape> ReduceMean::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  const Shape kept = averaged(axes, x);
  require(x.numel() > 0, "cannot average over nothing, got {}", x);
  if (keepdims) return {kept};
  const std::vector<bool> named = require_axes(axes, x.rank());
  std::vector<std::int64_t> extents;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis)
    if (!axes.empty() && !named[static_cast<std::size_t>(axis)]) extents.push_back(x[axis]);
  return {Shape(std::move(extents))};
}

std::unique_ptr<Kernel> ReduceMean::compile(const KernelContext& context) const {
  const Shape& x = context.inputs[0];
  return std::make_unique<ReduceMeanKernel>(averaged(axes, x), x);
}

Var nn::mean(Var x, const MeanOptions& options, std::string_view name) {
  auto op = std::make_unique<ReduceMean>();
  op->axes = options.axes;
  op->keepdims = options.keepdims;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
