#include "core/join.h"
#include "ops/common.h"
#include "ops/view_kernel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// Reads the same elements with another shape; 0 keeps an extent, one -1 takes what is left.
/// ONNX: Reshape, with the shape as an attribute.
struct Reshape final : Op {
  std::vector<std::int64_t> shape;

  std::string_view type() const override { return "Reshape"; }
  void visit(AttributeVisitor& visitor) override { visitor("shape", shape); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext&) const override {
    return std::make_unique<ViewKernel>(Format::plain);
  }
  std::unique_ptr<Op> clone() const override { return std::make_unique<Reshape>(*this); }
  Traits traits() const override { return {.result = Result::input_in_order}; }
};

std::vector<Shape> Reshape::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  std::vector<std::int64_t> result = shape;
  std::int64_t known = 1;
  std::size_t unknown = shape.size();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    require(shape[i] >= -1, "shape [{}] has an extent below -1", join(shape));
    if (shape[i] == -1) {
      require(unknown == shape.size(), "shape [{}] has more than one -1", join(shape));
      unknown = i;
      continue;
    }
    if (shape[i] == 0) {
      require(static_cast<std::int64_t>(i) < x.rank(), "shape [{}] keeps axis {} that {} lacks",
              join(shape), i, x);
      result[i] = x[static_cast<std::int64_t>(i)];
    }
    require(!__builtin_mul_overflow(known, result[i], &known), "shape [{}] is too large",
            join(shape));
  }
  if (unknown < shape.size()) result[unknown] = known > 0 ? x.numel() / known : 0;
  Shape y(std::move(result));
  require(y.numel() == x.numel(),
          "cannot read {} as [{}]; write the batch axis as 0 or -1 to fit any batch size", x,
          join(shape));
  return {std::move(y)};
}

}  // namespace

std::unique_ptr<Op> make_reshape() { return std::make_unique<Reshape>(); }

Var nn::reshape(Var x, std::vector<std::int64_t> shape, std::string_view name) {
  auto op = std::make_unique<Reshape>();
  op->shape = std::move(shape);
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
