#include <algorithm>
#include <cmath>

#include "ops/lines.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y_i = x_i - log(sum_j exp(x_j)) along an axis                                 ONNX: LogSoftmax
struct LogSoftmax final : SimpleOp<LogSoftmax> {
  static constexpr std::string_view kType = "LogSoftmax";
  std::int64_t axis = -1;

  void visit(AttributeVisitor& visitor) override { visitor("axis", axis); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    require_axis(axis, inputs[0]);
    return {inputs[0]};
  }
  Needs backward_needs() const override { return Needs::outputs(); }

  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    each_line(*x.shape, axis, [&](std::int64_t first, std::int64_t extent, std::int64_t stride) {
      float largest = x.data[first];  // subtracted, so that exp never overflows
      for (std::int64_t i = 1; i < extent; ++i)
        largest = std::max(largest, x.data[first + i * stride]);
      double sum = 0.0;
      for (std::int64_t i = 0; i < extent; ++i)
        sum += std::exp(x.data[first + i * stride] - largest);
      const double rest = std::log(sum);
      for (std::int64_t i = 0; i < extent; ++i) {
        const std::int64_t at = first + i * stride;
        y.data[at] = static_cast<float>(static_cast<double>(x.data[at] - largest) - rest);
      }
    });
  }

  void backward(const GradIo& io) const {  // dx_i = dy_i - exp(y_i) * sum_j dy_j
    if (!io.wants(0)) return;
    const View &y = io.output(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    each_line(*y.shape, axis, [&](std::int64_t first, std::int64_t extent, std::int64_t stride) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < extent; ++i) sum += dy.data[first + i * stride];
      for (std::int64_t i = 0; i < extent; ++i) {
        const std::int64_t at = first + i * stride;
        dx.data[at] = static_cast<float>(dy.data[at] - std::exp(y.data[at]) * sum);
      }
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_log_softmax() { return std::make_unique<LogSoftmax>(); }

Var nn::log_softmax(Var x, const LogSoftmaxOptions& options, std::string_view name) {
  auto op = std::make_unique<LogSoftmax>();
  op->axis = options.axis;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
