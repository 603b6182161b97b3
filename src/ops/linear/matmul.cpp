#include <algorithm>
#include <vector>

#include "backend/onednn.h"
#include "ops/elementwise/broadcast.h"
#include "rung/ops/arithmetic.h"

namespace rung {
namespace {

/// y = a b: matrices on the last two axes, repeated over those in front.            ONNX: MatMul
struct MatMul final : Op {
  std::string_view type() const override { return "MatMul"; }
  void visit(AttributeVisitor&) override {}
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b11); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<MatMul>(*this); }
  /// [..., I, O]: the output channels are the columns of the second matrix.
  Traits traits() const override {
    return {.weighted = Weighted{.bias = std::nullopt, .output_axis = -1}};
  }
};

/// Both operands as matrices, a vector being a row on the left and a column on the right.
struct Matrices {
  Shape a, b;
  Matrices(const Shape& left, const Shape& right)
      : a(left.rank() == 1 ? Shape{1, left[0]} : left),
        b(right.rank() == 1 ? Shape{right[0], 1} : right) {}
  static Shape front(const Shape& shape) {
    return Shape({shape.dims().begin(), shape.dims().end() - 2});
  }
};

std::vector<Shape> MatMul::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 2);
  require(inputs[0].rank() >= 1 && inputs[1].rank() >= 1,
          "inputs must be vectors or matrices, got {} and {}", inputs[0], inputs[1]);
  const Matrices of(inputs[0], inputs[1]);
  require(of.a[-1] == of.b[-2], "cannot multiply {} and {}: there are {} columns and {} rows",
          inputs[0], inputs[1], of.a[-1], of.b[-2]);
  const Shape front = broadcast_shape(Matrices::front(of.a), Matrices::front(of.b));
  std::vector<std::int64_t> extents(front.dims().begin(), front.dims().end());
  if (inputs[0].rank() > 1) extents.push_back(of.a[-2]);
  if (inputs[1].rank() > 1) extents.push_back(of.b[-1]);
  return {Shape(std::move(extents))};
}

class MatMulKernel final : public Kernel {
 public:
  explicit MatMulKernel(const KernelContext& context) {
    const Matrices of(context.inputs[0], context.inputs[1]);
    rows_ = of.a[-2];
    inner_ = of.a[-1];
    columns_ = of.b[-1];
    const Shape front_a = Matrices::front(of.a), front_b = Matrices::front(of.b);
    const Shape front = broadcast_shape(front_a, front_b);
    if (front_b.numel() == 1 && front == front_a) {  // one matrix for all rows: one product
      rows_ *= front_a.numel();
      pairs_ = {{0, 0}};
    } else {
      pairs_.resize(static_cast<std::size_t>(front.numel()));
      number(front, front_a, &Pair::a);
      number(front, front_b, &Pair::b);
    }
    input_formats = {Format::plain, Format::plain};
    output_formats = {Format::plain};
    needs = {.input_bits = (context.wants[1] ? 0b01u : 0u) | (context.wants[0] ? 0b10u : 0u),
             .output_bits = 0};
    flops_forward =
        2.0 * static_cast<double>(rows_ * inner_ * columns_) * static_cast<double>(pairs_.size());
    flops_backward = flops_forward * (context.wants[0] + context.wants[1]);
  }
  std::string name() const override { return "sgemm"; }

  void forward(const Io& io) override {
    float* y = io.output(0).data;
    for (const Pair& pair : pairs_) {
      backend::gemm(false, false, rows_, columns_, inner_, io.input(0).data + pair.a * size_a(),
                    io.input(1).data + pair.b * size_b(), y);
      y += rows_ * columns_;
    }
  }

  void backward(const GradIo& io) override {
    for (std::size_t side = 0; side < 2; ++side) {
      if (!io.wants(side)) continue;
      const View& dx = io.input_grad(side);
      std::fill_n(dx.data, dx.count, 0.0f);
      const float* dy = io.output_grad(0).data;
      for (const Pair& pair : pairs_) {
        if (side == 0)
          backend::gemm(false, true, rows_, inner_, columns_, dy,
                        io.input(1).data + pair.b * size_b(), dx.data + pair.a * size_a(), 1.0f);
        else
          backend::gemm(true, false, inner_, columns_, rows_, io.input(0).data + pair.a * size_a(),
                        dy, dx.data + pair.b * size_b(), 1.0f);
        dy += rows_ * columns_;
      }
    }
  }

 private:
  struct Pair {
    std::int64_t a = 0, b = 0;  // which matrices of the operands meet
  };

  std::int64_t size_a() const { return rows_ * inner_; }
  std::int64_t size_b() const { return inner_ * columns_; }

  // Writes which of the operand's matrices each of the result's comes from.
  void number(const Shape& front, const Shape& own, std::int64_t Pair::*member) {
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      auto rest = static_cast<std::int64_t>(i);
      std::int64_t stride = 1;
      for (std::int64_t axis = 1; axis <= front.rank(); ++axis) {
        const std::int64_t at = rest % front[-axis];
        rest /= front[-axis];
        if (axis > own.rank()) continue;
        if (own[-axis] != 1) pairs_[i].*member += at * stride;
        stride *= own[-axis];
      }
    }
  }

  std::int64_t rows_, inner_, columns_;
  std::vector<Pair> pairs_;
};

std::unique_ptr<Kernel> MatMul::compile(const KernelContext& context) const {
  return std::make_unique<MatMulKernel>(context);
}

}  // namespace

std::unique_ptr<Op> make_matmul() { return std::make_unique<MatMul>(); }

Var nn::matmul(Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<MatMul>(), {a, b}, name);
}

}  // namespace rung
