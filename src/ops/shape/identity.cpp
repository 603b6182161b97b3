#include "ops/common.h"
#include "ops/view_kernel.h"
#include "rung/ops/shape_ops.h"

namespace rung {
namespace {

/// y = x                                                                            ONNX: Identity
struct Identity final : Op {
  std::string_view type() const override { return "Identity"; }
  void visit(AttributeVisitor&) override {}
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    return {inputs[0]};
  }
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override {
    return std::make_unique<ViewKernel>(context.formats[0]);
  }
  std::unique_ptr<Op> clone() const override { return std::make_unique<Identity>(*this); }
  Traits traits() const override { return {.result = Result::input_in_order}; }
};

}  // namespace

std::unique_ptr<Op> make_identity() { return std::make_unique<Identity>(); }

Var nn::identity(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<Identity>(), {x}, name);
}

}  // namespace rung
