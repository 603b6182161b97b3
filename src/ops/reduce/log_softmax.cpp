#include <cmath>

#include "ops/reduce/lines.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// y_i = x_i - log(sum_j exp(x_j)) along an axis                                 ONNX: LogSoftmax
struct LogSoftmax final : LineOp<LogSoftmax> {
  static constexpr std::string_view kType = "LogSoftmax";

  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    each_line(*x.shape, axis, [&](std::int64_t first, std::int64_t extent, std::int64_t stride) {
      const float largest = largest_of(x.data + first, extent, stride);
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
