#include "rung/ops/pool.h"

#include "core/format.h"
#include "kernels/pool.h"
#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

kernels::PoolGeometry geometry(const PoolWindow& window, const KernelContext& context) {
  const Shape &x = context.inputs[0], &y = context.outputs[0];
  return {.h = x[2],
          .w = x[3],
          .oh = y[2],
          .ow = y[3],
          .kernel_h = window.kernel_h,
          .kernel_w = window.kernel_w,
          .stride_h = window.stride_h,
          .stride_w = window.stride_w,
          .padding_h = window.padding_h,
          .padding_w = window.padding_w,
          .count_include_pad = true};
}

/// Takes its input in the format it comes in, writes the same, and works plane by plane: one image
/// and one channel block.
class PlaneKernel : public Kernel {
 public:
  PlaneKernel(const kernels::PoolGeometry& geometry, const KernelContext& context)
      : geometry_(geometry), block_(static_cast<int>(context.formats[0])) {
    input_formats = output_formats = {context.formats[0]};
    planes_ = context.inputs[0][0] * ((context.inputs[0][1] + block_ - 1) / block_);
    in_plane_ = geometry.h * geometry.w * block_;
    out_plane_ = geometry.oh * geometry.ow * block_;
  }

 protected:
  template <typename Body>
  void each_plane(const Body& body) const {
    const std::int64_t grain =
        std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, in_plane_));
    parallel_for(planes_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) body(plane);
    });
  }

  const kernels::PoolKernels& table_ = kernels::pool_kernels();
  kernels::PoolGeometry geometry_;
  int block_;
  std::int64_t planes_ = 0, in_plane_ = 0, out_plane_ = 0;
};

class MaxPoolKernel final : public PlaneKernel {
 public:
  MaxPoolKernel(const kernels::PoolGeometry& geometry, const KernelContext& context)
      : PlaneKernel(geometry, context) {
    const std::int64_t winners = (planes_ * out_plane_ + 1) / 2;  // 16 bits each
    (context.mode == Mode::train ? workspace : scratch_forward) = winners;
  }
  std::string name() const override { return "max_pool"; }
  void forward(const Io& io) override {
    float* memory = io.mode() == Mode::train ? io.workspace() : io.scratch();
    auto* winner = reinterpret_cast<std::uint16_t*>(memory);
    each_plane([&](std::int64_t p) {
      table_.max_forward(geometry_, block_, io.input(0).data + p * in_plane_,
                         io.output(0).data + p * out_plane_, winner + p * out_plane_);
    });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    const auto* winner = reinterpret_cast<const std::uint16_t*>(io.workspace());
    each_plane([&](std::int64_t p) {
      table_.max_backward(geometry_, block_, io.output_grad(0).data + p * out_plane_,
                          winner + p * out_plane_, io.input_grad(0).data + p * in_plane_);
    });
  }
};

class AveragePoolKernel final : public PlaneKernel {
 public:
  using PlaneKernel::PlaneKernel;
  std::string name() const override { return "average_pool"; }
  void forward(const Io& io) override {
    each_plane([&](std::int64_t p) {
      table_.average_forward(geometry_, block_, io.input(0).data + p * in_plane_,
                             io.output(0).data + p * out_plane_);
    });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    each_plane([&](std::int64_t p) {
      table_.average_backward(geometry_, block_, io.output_grad(0).data + p * out_plane_,
                              io.input_grad(0).data + p * in_plane_);
    });
  }
};

}  // namespace

void PoolWindow::visit(AttributeVisitor& visitor) {
  visit_pair(visitor, "kernel_shape", kernel_h, kernel_w);
  visit_pair(visitor, "strides", stride_h, stride_w);
  visit_pair(visitor, "pads", padding_h, padding_w, 2);
}

Shape PoolWindow::output(const Shape& input) const {
  require_images(input);
  require(kernel_h >= 1 && kernel_w >= 1 && stride_h >= 1 && stride_w >= 1,
          "kernel and stride must be at least 1, got {}x{} and {}x{}", kernel_h, kernel_w, stride_h,
          stride_w);
  require(kernel_h <= 65535 / kernel_w, "kernel {}x{} has more than 65535 pixels", kernel_h,
          kernel_w);
  require(
      padding_h >= 0 && padding_w >= 0 && 2 * padding_h <= kernel_h && 2 * padding_w <= kernel_w,
      "padding must be at most half the kernel {}x{}, got {}x{}", kernel_h, kernel_w, padding_h,
      padding_w);
  require(input[2] + 2 * padding_h >= kernel_h && input[3] + 2 * padding_w >= kernel_w,
          "kernel {}x{} is larger than the padded input {}", kernel_h, kernel_w, input);
  return {input[0], input[1], (input[2] + 2 * padding_h - kernel_h) / stride_h + 1,
          (input[3] + 2 * padding_w - kernel_w) / stride_w + 1};
}

std::vector<Shape> MaxPool::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  return {window.output(inputs[0])};
}

std::unique_ptr<Kernel> MaxPool::compile(const KernelContext& context) const {
  return std::make_unique<MaxPoolKernel>(geometry(window, context), context);
}

void AveragePool::visit(AttributeVisitor& visitor) {
  window.visit(visitor);
  visitor("count_include_pad", count_include_pad);
}

std::vector<Shape> AveragePool::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  return {window.output(inputs[0])};
}

std::unique_ptr<Kernel> AveragePool::compile(const KernelContext& context) const {
  kernels::PoolGeometry sizes = geometry(window, context);
  sizes.count_include_pad = count_include_pad;
  return std::make_unique<AveragePoolKernel>(sizes, context);
}

namespace nn {
namespace {

PoolWindow window_of(const Pool2dOptions& options) {
  const std::int64_t stride = options.stride.value_or(options.kernel);
  return {options.kernel, options.kernel, stride, stride, options.padding, options.padding};
}

}  // namespace

Var max_pool2d(Var x, const Pool2dOptions& options, std::string_view name) {
  auto op = std::make_unique<MaxPool>();
  op->window = window_of(options);
  return x.graph().add(std::move(op), {x}, name);
}

Var avg_pool2d(Var x, const Pool2dOptions& options, std::string_view name) {
  auto op = std::make_unique<AveragePool>();
  op->window = window_of(options);
  op->count_include_pad = options.count_include_pad;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace nn
}  // namespace rung
