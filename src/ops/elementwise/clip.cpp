#include <limits>

#include "kernels/elementwise.h"
#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// y = min(max(x, low), high). The gradient is 0 at and beyond both ends, as that of
/// torch.nn.ReLU6 (Hardtanh).                                                          ONNX: Clip
struct Clip final : SimpleOp<Clip> {
  static constexpr std::string_view kType = "Clip";
  static constexpr Layout kLayout = Layout::elementwise;  // low > 0 would not keep zeros
  float low = std::numeric_limits<float>::lowest();
  float high = std::numeric_limits<float>::max();

  void visit(AttributeVisitor& visitor) override {
    visitor("min", low);
    visitor("max", high);
  }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    require(low <= high, "min must not be above max, got {} and {}", low, high);
    return {inputs[0]};
  }
  std::optional<Tail> tail() const override {
    if (low > 0.0f || high < 0.0f) return std::nullopt;  // padded channels would not stay zero
    return Tail{.kind = Tail::Kind::clip, .low = low, .high = high};
  }
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::elementwise_kernels().clip(x.data + begin, y.data + begin, end - begin, low, high);
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &x = io.input(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::elementwise_kernels().clip_backward(x.data + begin, dy.data + begin, dx.data + begin,
                                                   end - begin, low, high);
    });
  }
};

}  // namespace

std::unique_ptr<Op> make_clip() { return std::make_unique<Clip>(); }

namespace nn {

Var clip(Var x, const ClipOptions& options, std::string_view name) {
  auto op = std::make_unique<Clip>();
  op->low = options.min;
  op->high = options.max;
  return x.graph().add(std::move(op), {x}, name);
}

Var relu6(Var x, std::string_view name) { return clip(x, {.min = 0.0f, .max = 6.0f}, name); }

}  // namespace nn
}  // namespace rung
