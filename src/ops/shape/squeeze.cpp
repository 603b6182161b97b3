#include "ops/shape/axes.h"
#include "ops/view_kernel.h"
#include "rung/ops/shape_ops.h"

namespace rung {

std::vector<Shape> Squeeze::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  require(!axes.empty(), "needs the axes to leave out: a batch of one image must keep its axis");
  const std::vector<bool> named = require_axes(axes, x.rank());
  std::vector<std::int64_t> extents;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (!named[static_cast<std::size_t>(axis)])
      extents.push_back(x[axis]);
    else
      require(x[axis] == 1, "can only leave out axes of extent 1, axis {} of {} is not", axis, x);
  }
  return {Shape(std::move(extents))};
}

std::unique_ptr<Kernel> Squeeze::compile(const KernelContext&) const {
  return std::make_unique<ViewKernel>(Format::plain);
}

std::vector<Shape> Unsqueeze::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  require(!axes.empty(), "needs the axes to put in");
  const std::int64_t rank = x.rank() + static_cast<std::int64_t>(axes.size());
  std::vector<std::int64_t> extents;
  std::int64_t next = 0;
  for (const bool put_in : require_axes(axes, rank)) extents.push_back(put_in ? 1 : x[next++]);
  return {Shape(std::move(extents))};
}

std::unique_ptr<Kernel> Unsqueeze::compile(const KernelContext&) const {
  return std::make_unique<ViewKernel>(Format::plain);
}

Var nn::squeeze(Var x, std::vector<std::int64_t> axes, std::string_view name) {
  auto op = std::make_unique<Squeeze>();
  op->axes = std::move(axes);
  return x.graph().add(std::move(op), {x}, name);
}

Var nn::unsqueeze(Var x, std::vector<std::int64_t> axes, std::string_view name) {
  auto op = std::make_unique<Unsqueeze>();
  op->axes = std::move(axes);
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
