#include <array>

#include "ops/elementwise/broadcast.h"
#include "rung/ops/functions.h"

namespace rung {
namespace {

/// y = a where the condition is true (not 0), b elsewhere; all repeated to one shape.   ONNX: Where
struct Where final : SimpleOp<Where> {
  static constexpr std::string_view kType = "Where";

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 3);
    return {broadcast_shape(inputs[0], broadcast_shape(inputs[1], inputs[2]))};
  }
  Needs backward_needs() const override { return Needs::inputs(0b001); }
  void forward(const Io& io) const {
    const float *condition = io.input(0).data, *a = io.input(1).data, *b = io.input(2).data;
    float* y = io.output(0).data;
    const Places places(io);
    parallel_for(places.count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y[i] = condition[places.of(0, i)] != 0.0f ? a[places.of(1, i)] : b[places.of(2, i)];
    });
  }
  void backward(const GradIo& io) const {
    const float *condition = io.input(0).data, *dy = io.output_grad(0).data;
    const Places places(io);
    if (io.wants(0)) std::fill_n(io.input_grad(0).data, io.input_grad(0).count, 0.0f);
    for (const std::size_t side : {1u, 2u}) {
      if (!io.wants(side)) continue;
      const View& dx = io.input_grad(side);
      // In order, and in double: an operand may be repeated often.
      std::vector<double> sums(static_cast<std::size_t>(dx.count), 0.0);
      for (std::int64_t i = 0; i < places.count(); ++i)
        if ((condition[places.of(0, i)] != 0.0f) == (side == 1))
          sums[static_cast<std::size_t>(places.of(side, i))] += dy[i];
      for (std::int64_t i = 0; i < dx.count; ++i)
        dx.data[i] = static_cast<float>(sums[static_cast<std::size_t>(i)]);
    }
  }

 private:
  /// Where the operands of an element of y lie.
  class Places {
   public:
    template <typename AnyIo>
    explicit Places(const AnyIo& io) : y_(*y_of(io).shape) {
      for (std::size_t side = 0; side < 3; ++side) {
        const Shape& x = *io.input(side).shape;
        steps_[side].assign(static_cast<std::size_t>(y_.rank()), 0);
        for (std::int64_t i = 1, step = 1; i <= x.rank(); step *= x[x.rank() - i++])
          if (x[x.rank() - i] != 1) steps_[side][static_cast<std::size_t>(y_.rank() - i)] = step;
        whole_[side] = x == y_;
      }
    }
    std::int64_t count() const { return y_.numel(); }
    std::int64_t of(std::size_t side, std::int64_t i) const {
      if (whole_[side]) return i;
      std::int64_t at = 0;
      for (std::int64_t axis = y_.rank(); axis-- > 0; i /= y_[axis])
        at += i % y_[axis] * steps_[side][static_cast<std::size_t>(axis)];
      return at;
    }

   private:
    static const View& y_of(const Io& io) { return io.output(0); }
    static const View& y_of(const GradIo& io) { return io.output_grad(0); }
    Shape y_;
    std::array<std::vector<std::int64_t>, 3> steps_;
    std::array<bool, 3> whole_{};
  };
};

}  // namespace

std::unique_ptr<Op> make_where() { return std::make_unique<Where>(); }

Var nn::where(Var condition, Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<Where>(), {condition, a, b}, name);
}

}  // namespace rung
