#include "rung/ops/pool.h"

#include "core/check.h"
#include "kernels/pool.h"
#include "ops/common.h"
#include "ops/linear/image_axes.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

kernels::PoolGeometry geometry(const PoolWindow& window, const KernelContext& context) {
  const auto x = image_extents(context.inputs[0]), y = image_extents(context.outputs[0]);
  return {.h = x[2],
          .w = x[3],
          .oh = y[2],
          .ow = y[3],
          .kernel_h = window.kernel_h,
          .kernel_w = window.kernel_w,
          .stride_h = window.stride_h,
          .stride_w = window.stride_w,
          .padding_h = window.padding_top,
          .padding_w = window.padding_left,
          .dilation_h = window.dilation_h,
          .dilation_w = window.dilation_w,
          .padded_h = x[2] + window.padding_top + window.padding_bottom,
          .padded_w = x[3] + window.padding_left + window.padding_right,
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
    keeps_reach = geometry.dilation_h == 1 && geometry.dilation_w == 1;  // no window is empty
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
    const std::int64_t winners = bytes_of<std::uint16_t>(planes_ * out_plane_);
    (context.mode == Mode::train ? workspace : scratch_forward) = winners;
  }
  std::string name() const override { return "max_pool"; }
  void forward(const Io& io) override {
    std::uint16_t* winner =
        io.mode() == Mode::train ? io.workspace<std::uint16_t>() : io.scratch<std::uint16_t>();
    each_plane([&](std::int64_t p) {
      table_.max_forward(geometry_, block_, io.input(0).data + p * in_plane_,
                         io.output(0).data + p * out_plane_, winner + p * out_plane_);
    });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    const std::uint16_t* winner = io.workspace<std::uint16_t>();
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
  AxesVisitor lists(visitor, axes);
  lists("kernel_shape", kernel_h, kernel_w);
  lists("strides", stride_h, stride_w);
  lists.pads(padding_top, padding_left, padding_bottom, padding_right);
  visitor("ceil_mode", ceil_mode);
}

Shape PoolWindow::output(const Shape& input) const {
  require(input.rank() == axes + 2, "input must be {}, got {}",
          axes == 1 ? "[N, C, L]" : "[N, C, H, W]", input);
  require(axes == 2 || (axes == 1 && kernel_h == 1 && stride_h == 1 && dilation_h == 1 &&
                        padding_top == 0 && padding_bottom == 0),
          "has {} axes, and a window of another number", axes);
  require(kernel_h >= 1 && kernel_w >= 1 && stride_h >= 1 && stride_w >= 1 && dilation_h >= 1 &&
              dilation_w >= 1,
          "kernel, stride and dilation must be at least 1, got {}x{}, {}x{} and {}x{}", kernel_h,
          kernel_w, stride_h, stride_w, dilation_h, dilation_w);
  require(kernel_h <= 65535 / kernel_w, "kernel {}x{} has more than 65535 pixels", kernel_h,
          kernel_w);
  const auto extent = [&](std::int64_t size, std::int64_t kernel, std::int64_t stride,
                          std::int64_t dilation, std::int64_t before, std::int64_t behind) {
    const std::int64_t reach = dilation * (kernel - 1) + 1;
    require(
        before >= 0 && behind >= 0 && before < reach && behind < reach,
        "padding must be smaller than the {} pixels that the window reaches over, got {} and {}",
        reach, before, behind);
    const std::int64_t room = size + before + behind - reach;
    require(room >= 0, "kernel {}x{} is larger than the padded input {}", kernel_h, kernel_w,
            input);
    if (!ceil_mode) return room / stride + 1;
    // As PyTorch and ONNX: no window may start in the padding behind the image.
    const std::int64_t last = (room + stride - 1) / stride;
    return last * stride >= size + before ? last : last + 1;
  };
  const auto [images, channels, height, width] = image_extents(input);
  return image_shape(axes, images, channels,
                     extent(height, kernel_h, stride_h, dilation_h, padding_top, padding_bottom),
                     extent(width, kernel_w, stride_w, dilation_w, padding_left, padding_right));
}

void MaxPool::visit(AttributeVisitor& visitor) {
  window.visit(visitor);
  AxesVisitor(visitor, window.axes)("dilations", window.dilation_h, window.dilation_w);
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
  require(window.dilation_h == 1 && window.dilation_w == 1, "averages no dilated windows");
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
  const std::int64_t kernel = options.kernel, padding = options.padding;
  const std::int64_t stride = options.stride.value_or(kernel);
  return {.kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .padding_top = padding,
          .padding_left = padding,
          .padding_bottom = padding,
          .padding_right = padding,
          .dilation_h = options.dilation,
          .dilation_w = options.dilation,
          .ceil_mode = options.ceil_mode};
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
