#include <algorithm>
#include <numeric>

#include "core/join.h"
#include "ops/shape/axes.h"
#include "rung/core/parallel.h"
#include "rung/ops/shape_ops.h"

namespace rung {
namespace {

/// Returns perm with axes counted from the start; without perm the order reversed.
std::vector<std::int64_t> resolve(const std::vector<std::int64_t>& perm, const Shape& x) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(x.rank()));
  std::iota(order.rbegin(), order.rend(), 0);
  if (perm.empty()) return order;
  require(perm.size() == order.size(), "perm [{}] must name each of the {} axes of {}", join(perm),
          x.rank(), x);
  require_axes(perm, x.rank());
  std::ranges::transform(perm, order.begin(),
                         [&](std::int64_t axis) { return require_axis(axis, x); });
  return order;
}

/// Reads x in the order of the result, and the gradient the other way round.
class TransposeKernel final : public Kernel {
 public:
  TransposeKernel(const std::vector<std::int64_t>& order, const KernelContext& context) {
    const Shape& x = context.inputs[0];
    for (const std::int64_t axis : order) {
      const Axis now{x[axis], product(x, axis + 1, x.rank())};
      if (now.extent == 1) continue;
      // Axes that stay behind each other are one.
      if (!axes_.empty() && axes_.back().stride == now.stride * now.extent)
        axes_.back() = {axes_.back().extent * now.extent, now.stride};
      else
        axes_.push_back(now);
    }
    if (axes_.empty()) axes_.push_back({1, 1});
    rows_ = x.numel() / std::max<std::int64_t>(1, axes_.back().extent);
    input_formats = output_formats = {Format::plain};
    needs = Needs::nothing();
  }
  std::string name() const override { return "transpose"; }

  void forward(const Io& io) override {
    const float* x = io.input(0).data;
    float* y = io.output(0).data;
    each([&](std::int64_t to, std::int64_t from) { y[to] = x[from]; });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    const float* dy = io.output_grad(0).data;
    float* dx = io.input_grad(0).data;
    each([&](std::int64_t from, std::int64_t to) { dx[to] = dy[from]; });
  }

 private:
  struct Axis {
    std::int64_t extent, stride;  // of the result; its distance in x
  };

  /// Calls body(place in the result, place in x).
  template <typename Body>
  void each(const Body& body) const {
    const Axis inner = axes_.back();
    const std::int64_t grain =
        std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, inner.extent));
    parallel_for(rows_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t rest = row, in_x = 0;
        for (std::size_t k = axes_.size() - 1; k-- > 0; rest /= axes_[k].extent)
          in_x += rest % axes_[k].extent * axes_[k].stride;
        for (std::int64_t i = 0; i < inner.extent; ++i)
          body(row * inner.extent + i, in_x + i * inner.stride);
      }
    });
  }

  std::vector<Axis> axes_;  // outermost first
  std::int64_t rows_ = 0;
};

}  // namespace

std::vector<Shape> Transpose::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  std::vector<std::int64_t> extents;
  for (const std::int64_t axis : resolve(perm, inputs[0])) extents.push_back(inputs[0][axis]);
  return {Shape(std::move(extents))};
}

std::unique_ptr<Kernel> Transpose::compile(const KernelContext& context) const {
  return std::make_unique<TransposeKernel>(resolve(perm, context.inputs[0]), context);
}

Var nn::transpose(Var x, std::vector<std::int64_t> perm, std::string_view name) {
  auto op = std::make_unique<Transpose>();
  op->perm = std::move(perm);
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
