#include <cmath>

#include "ops/reduce/lines.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// y_i = exp(x_i) / sum_j exp(x_j) along an axis                                    ONNX: Softmax
struct Softmax final : LineOp<Softmax> {
  static constexpr std::string_view kType = "Softmax";

  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    each_line(*x.shape, axis, [&](std::int64_t first, std::int64_t extent, std::int64_t stride) {
      const float largest = largest_of(x.data + first, extent, stride);
      double sum = 0.0;
      for (std::int64_t i = 0; i < extent; ++i) {
        const float power = std::exp(x.data[first + i * stride] - largest);
        y.data[first + i * stride] = power;
        sum += power;
      }
      const float inverse = static_cast<float>(1.0 / sum);
      for (std::int64_t i = 0; i < extent; ++i) y.data[first + i * stride] *= inverse;
    });
  }

  void backward(const GradIo& io) const {  // dx_i = y_i * (dy_i - sum_j dy_j y_j)
    if (!io.wants(0)) return;
    const View &y = io.output(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    each_line(*y.shape, axis, [&](std::int64_t first, std::int64_t extent, std::int64_t stride) {
      double dot = 0.0;
      for (std::int64_t i = 0; i < extent; ++i)
        dot += static_cast<double>(dy.data[first + i * stride]) * y.data[first + i * stride];
      for (std::int64_t i = 0; i < extent; ++i) {
        const std::int64_t at = first + i * stride;
        dx.data[at] = static_cast<float>(y.data[at] * (dy.data[at] - dot));
      }
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_softmax() { return std::make_unique<Softmax>(); }

Var nn::softmax(Var x, const SoftmaxOptions& options, std::string_view name) {
  auto op = std::make_unique<Softmax>();
  op->axis = options.axis;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
