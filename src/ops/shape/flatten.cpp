#include "ops/common.h"
#include "ops/view_kernel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// Joins the axes before `axis`, and those from it on: [N, C, H, W] -> [N, C * H * W].
///                                                                                  ONNX: Flatten
struct Flatten final : Op {
  std::int64_t axis = 1;

  std::string_view type() const override { return "Flatten"; }
  void visit(AttributeVisitor& visitor) override { visitor("axis", axis); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    const Shape& x = inputs[0];
    require(axis >= -x.rank() && axis <= x.rank(), "axis {} is outside of {}", axis, x);
    const std::int64_t split = axis < 0 ? axis + x.rank() : axis;
    return {{product(x, 0, split), product(x, split, x.rank())}};
  }
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext&) const override {
    return std::make_unique<ViewKernel>(Format::plain);
  }
  std::unique_ptr<Op> clone() const override { return std::make_unique<Flatten>(*this); }
  Traits traits() const override { return {.result = Result::input_in_order}; }
};

}  // namespace

std::unique_ptr<Op> make_flatten() { return std::make_unique<Flatten>(); }

Var nn::flatten(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<Flatten>(), {x}, name);
}

}  // namespace rung
