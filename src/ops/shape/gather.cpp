#include <algorithm>

#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/ops/shape_ops.h"

namespace rung {
namespace {

/// Copies blocks of `inner` floats; the outer axes are cut between threads, so that gradients of
/// parts that are taken twice are added in order.
class GatherKernel final : public Kernel {
 public:
  GatherKernel(const Gather& op, const Shape& x) {
    const std::int64_t axis = require_axis(op.axis, x);
    outer_ = product(x, 0, axis);
    extent_ = x[axis];
    inner_ = product(x, axis + 1, x.rank());
    for (const std::int64_t index : op.indices)
      indices_.push_back(index < 0 ? index + extent_ : index);
    input_formats = output_formats = {Format::plain};
    needs = Needs::nothing();
  }
  std::string name() const override { return "gather"; }

  void forward(const Io& io) override {
    const float* x = io.input(0).data;
    float* y = io.output(0).data;
    each([&](std::int64_t in_x, std::int64_t in_y) { std::copy_n(x + in_x, inner_, y + in_y); });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    const View& dx = io.input_grad(0);
    const float* dy = io.output_grad(0).data;
    std::fill_n(dx.data, dx.count, 0.0f);
    each([&](std::int64_t in_x, std::int64_t in_y) {
      for (std::int64_t i = 0; i < inner_; ++i) dx.data[in_x + i] += dy[in_y + i];
    });
  }

 private:
  template <typename Body>
  void each(const Body& body) const {
    const auto count = static_cast<std::int64_t>(indices_.size());
    const std::int64_t grain =
        std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, count * inner_));
    parallel_for(outer_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        for (std::int64_t k = 0; k < count; ++k)
          body((row * extent_ + indices_[static_cast<std::size_t>(k)]) * inner_,
               (row * count + k) * inner_);
    });
  }

  std::int64_t outer_ = 1, extent_ = 1, inner_ = 1;
  std::vector<std::int64_t> indices_;
};

}  // namespace

void Gather::visit(AttributeVisitor& visitor) {
  visitor("axis", axis);
  visitor("indices", indices);
  visitor("indices_shape", indices_shape);
}

std::vector<Shape> Gather::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  const std::int64_t at = require_axis(axis, x);
  for (const std::int64_t index : indices)
    require(index >= -x[at] && index < x[at], "index {} is outside of axis {} of {}", index, at, x);
  const Shape taken(indices_shape);
  require(taken.numel() == static_cast<std::int64_t>(indices.size()),
          "has {} indices, indices_shape says {}", indices.size(), taken);
  const auto dims = x.dims();
  std::vector<std::int64_t> extents(dims.begin(), dims.begin() + at);
  extents.insert(extents.end(), indices_shape.begin(), indices_shape.end());
  extents.insert(extents.end(), dims.begin() + at + 1, dims.end());
  return {Shape(std::move(extents))};
}

std::unique_ptr<Kernel> Gather::compile(const KernelContext& context) const {
  return std::make_unique<GatherKernel>(*this, context.inputs[0]);
}

Var nn::gather(Var x, const GatherOptions& options, std::string_view name) {
  auto op = std::make_unique<Gather>();
  op->axis = options.axis;
  op->indices = options.indices;
  if (options.keepdims) op->indices_shape = {static_cast<std::int64_t>(options.indices.size())};
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
