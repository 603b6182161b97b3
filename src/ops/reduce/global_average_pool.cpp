#include <algorithm>

#include "kernels/pool.h"
#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"
#include "rung/ops/pool.h"

namespace rung {
namespace {

/// Reads planes in any format; writes the plain [N, C, 1, 1], which Flatten can view.
class GlobalAveragePoolKernel final : public Kernel {
 public:
  explicit GlobalAveragePoolKernel(const KernelContext& context)
      : block_(static_cast<int>(context.formats[0])),
        images_(context.inputs[0][0]),
        channels_(context.inputs[0][1]),
        pixels_(product(context.inputs[0], 2, context.inputs[0].rank())) {
    input_formats = {context.formats[0]};
    output_formats = {Format::plain};
  }
  std::string name() const override { return "global_average_pool"; }

  void forward(const Io& io) override {
    each_plane([&](std::int64_t plane, std::int64_t first, std::int64_t lanes) {
      float mean[16];
      table_.mean_forward(pixels_, block_, io.input(0).data + plane * pixels_ * block_, mean);
      std::copy_n(mean, lanes, io.output(0).data + first);
    });
  }

  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    each_plane([&](std::int64_t plane, std::int64_t first, std::int64_t lanes) {
      float gradient[16] = {};  // zero where the block is padding
      std::copy_n(io.output_grad(0).data + first, lanes, gradient);
      table_.mean_backward(pixels_, block_, gradient,
                           io.input_grad(0).data + plane * pixels_ * block_);
    });
  }

 private:
  /// Calls body(plane, index of its first channel in [N, C], number of real channels).
  template <typename Body>
  void each_plane(const Body& body) const {
    const std::int64_t blocks = (channels_ + block_ - 1) / block_;
    const std::int64_t grain = std::max<std::int64_t>(1, 8192 / (pixels_ * block_));
    parallel_for(images_ * blocks, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const std::int64_t channel = plane % blocks * block_;
        body(plane, plane / blocks * channels_ + channel,
             std::min<std::int64_t>(block_, channels_ - channel));
      }
    });
  }

  const kernels::PoolKernels& table_ = kernels::pool_kernels();
  int block_;
  std::int64_t images_, channels_, pixels_;
};

}  // namespace

std::vector<Shape> GlobalAveragePool::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  require(x.rank() >= 3, "input must be [N, C, ...] with pixels, got {}", x);
  require(product(x, 2, x.rank()) > 0, "input {} has no pixels", x);
  std::vector<std::int64_t> result(static_cast<std::size_t>(x.rank()), 1);
  result[0] = x[0];
  result[1] = x[1];
  return {Shape(result)};
}

std::unique_ptr<Kernel> GlobalAveragePool::compile(const KernelContext& context) const {
  return std::make_unique<GlobalAveragePoolKernel>(context);
}

namespace nn {

Var global_avg_pool(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<GlobalAveragePool>(), {x}, name);
}

}  // namespace nn
}  // namespace rung
