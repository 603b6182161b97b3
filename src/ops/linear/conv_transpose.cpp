#include "rung/ops/conv_transpose.h"

#include <algorithm>

#include "backend/onednn.h"
#include "kernels/batch_norm.h"
#include "ops/common.h"
#include "ops/first_weights.h"
#include "ops/linear/image_axes.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

/// Adds bias[c] to every pixel of y [N, C, H, W] in its format; padded channels stay zero.
void add_bias(const View& y, const float* bias) {
  const Shape& shape = *y.shape;
  const auto lanes = static_cast<std::int64_t>(y.format);
  const std::int64_t channels = shape[1], blocks = (channels + lanes - 1) / lanes;
  const std::int64_t area = product(shape, 2, shape.rank());
  parallel_for(shape[0] * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int64_t first = plane % blocks * lanes;
      float added[16] = {};
      std::copy_n(bias + first, std::min(lanes, channels - first), added);
      float* data = y.data + plane * area * lanes;
      for (std::int64_t pixel = 0; pixel < area; ++pixel)
        for (std::int64_t lane = 0; lane < lanes; ++lane) data[pixel * lanes + lane] += added[lane];
    }
  });
}

/// Turns a convolution from y to x round: its gradient is our forward, its forward our gradient,
/// and torch's weight [I, O / groups, KH, KW] is its weight as it is.
class ConvTransposeKernel final : public Kernel {
 public:
  ConvTransposeKernel(const ConvTranspose& op, const KernelContext& context)
      : has_bias_(context.inputs.size() > 2) {
    const Shape &x = context.inputs[0], &w = context.inputs[1], &y = context.outputs[0];
    backend::ConvolutionSpec spec;
    const auto [unused, channels, kernel_h, kernel_w] = image_extents(w);
    spec.src = image_extents(y);
    spec.dst = image_extents(x);
    spec.kernel = {kernel_h, kernel_w};
    spec.stride = {op.stride_h, op.stride_w};
    spec.padding = {op.padding_h, op.padding_w};
    spec.padding_more = {op.padding_more_h, op.padding_more_w};
    // Of the convolution that is turned round these pixels are padding that is not there. Up to the
    // stride they make no difference: it leaves out what does not fill a step.
    if (op.output_padding_h >= op.stride_h) spec.padding_more[0] -= op.output_padding_h;
    if (op.output_padding_w >= op.stride_w) spec.padding_more[1] -= op.output_padding_w;
    spec.dilation = {op.dilation_h, op.dilation_w};
    spec.groups = op.groups;
    // Few output channels (an image) would be computed as a whole block.
    const bool blocked = op.groups == 1 && y[1] > 4;
    spec.src_format = spec.dst_format = blocked ? context.blocked : Format::plain;
    prepare(spec, context);
    if (spec.src_format != Format::plain && is_reference()) {
      spec.src_format = spec.dst_format = Format::plain;
      prepare(spec, context);
    }
    input_formats.assign(context.inputs.size(), Format::plain);
    input_formats[0] = spec.dst_format;
    output_formats = {spec.src_format};
    scratch_forward = bytes_of<float>(forward_->scratch_floats());
    if (gradients_) scratch_backward = bytes_of<float>(gradients_->scratch_floats());
    needs = {.input_bits = (context.wants[1] ? 0b01u : 0u) | (context.wants[0] ? 0b10u : 0u),
             .output_bits = 0};
    flops_forward = 2.0 * static_cast<double>(x.numel() * channels * kernel_h * kernel_w);
    flops_backward = flops_forward * (context.wants[0] + context.wants[1]);
  }
  std::string name() const override { return "transposed:" + forward_->implementation(); }

  void forward(const Io& io) override {
    const View& weight = io.input(1);
    forward_->backward_data(io.input(0).data, weight.data, weight.version, io.output(0).data,
                            io.scratch());
    if (has_bias_) add_bias(io.output(0), io.input(2).data);
  }

  void backward(const GradIo& io) override {
    const View &dy = io.output_grad(0), &weight = io.input(1);
    if (io.wants(0))
      gradients_->forward(dy.data, weight.data, weight.version, nullptr, nullptr,
                          io.input_grad(0).data, io.scratch());
    if (io.wants(1))
      gradients_->backward_weights(dy.data, io.input(0).data, io.input_grad(1).data, nullptr,
                                   io.scratch());
    if (has_bias_ && io.wants(2))
      kernels::sum_channels(dy.data, *dy.shape, dy.format, io.input_grad(2).data);
  }

 private:
  void prepare(backend::ConvolutionSpec spec, const KernelContext& context) {
    spec.forward = false;
    spec.backward_data = true;
    forward_ = std::make_unique<backend::Convolution>(spec);
    spec.forward = context.wants[0];
    spec.backward_data = false;
    spec.backward_weights = context.wants[1];
    if (spec.forward || spec.backward_weights)
      gradients_ = std::make_unique<backend::Convolution>(spec);
  }
  bool is_reference() const {
    return forward_->is_reference() || (gradients_ && gradients_->is_reference());
  }

  bool has_bias_;
  std::unique_ptr<backend::Convolution> forward_, gradients_;  // gradients_: if any is wanted
};

bool fits_output_padding(std::int64_t pixels, std::int64_t stride, std::int64_t padding) {
  return pixels >= 0 && (pixels < stride || pixels <= padding);
}

}  // namespace

void ConvTranspose::visit(AttributeVisitor& v) {
  AxesVisitor lists(v, axes);
  lists.window(*this);
  lists("output_padding", output_padding_h, output_padding_w);
  v("group", groups);
}

std::vector<Shape> ConvTranspose::infer(std::span<const Shape> in) const {
  require(in.size() == 2 || in.size() == 3, "takes x, weight and optionally bias, got {} inputs",
          in.size());
  const Shape &x = in[0], &w = in[1];
  require(x.rank() == axes + 2 && x[2] > 0 && x[axes + 1] > 0, "x must be {} with pixels, got {}",
          axes == 1 ? "[N, I, L]" : "[N, I, H, W]", x);
  require_axes(*this);
  require(fits_output_padding(output_padding_h, stride_h, padding_h + padding_more_h) &&
              fits_output_padding(output_padding_w, stride_w, padding_w + padding_more_w),
          "output_padding must be at least 0 and below the stride {}x{}, or not more than the "
          "padding at bottom and right, got {}x{}",
          stride_h, stride_w, output_padding_h, output_padding_w);
  require(groups > 0 && x[1] % groups == 0, "groups must divide the {} input channels, got {}",
          x[1], groups);
  require(w.rank() == axes + 2 && w[0] == x[1] && w[1] > 0 && w[2] > 0 && w[axes + 1] > 0,
          "weight must be [I, O/groups, {}] with I = {}, got {}", axes == 1 ? "K" : "KH, KW", x[1],
          w);
  const std::int64_t outputs = w[1] * groups;
  require(in.size() == 2 || in[2] == Shape{outputs}, "bias must be [{}], got {}", outputs,
          in.size() == 3 ? in[2] : Shape{});
  const auto extent = [](std::int64_t size, std::int64_t kernel, std::int64_t stride,
                         std::int64_t paddings, std::int64_t dilation, std::int64_t more) {
    const std::int64_t whole = (size - 1) * stride + dilation * (kernel - 1) + 1 + more;
    require(whole > paddings, "the paddings, {} together, take away all of the {} pixels", paddings,
            whole);
    return whole - paddings;
  };
  const auto [images, channels, height, width] = image_extents(x);
  const auto [unused, per_group, kernel_h, kernel_w] = image_extents(w);
  return {image_shape(axes, images, outputs,
                      extent(height, kernel_h, stride_h, 2 * padding_h + padding_more_h, dilation_h,
                             output_padding_h),
                      extent(width, kernel_w, stride_w, 2 * padding_w + padding_more_w, dilation_w,
                             output_padding_w))};
}

std::unique_ptr<Kernel> ConvTranspose::compile(const KernelContext& context) const {
  return std::make_unique<ConvTransposeKernel>(*this, context);
}

Var nn::conv_transpose2d(Var x, const ConvTranspose2dOptions& options, std::string_view name) {
  const std::string layer = x.graph().scoped(name);
  require(x.shape().rank() == 4, "[{}] conv_transpose2d needs an input [N, I, H, W]; {} is {}",
          layer, x.name(), x.shape());
  require(
      options.groups > 0 && options.out_channels > 0 && options.kernel > 0 &&
          options.out_channels % options.groups == 0,
      "[{}] conv_transpose2d needs .kernel of at least 1 and .out_channels that {} groups divide",
      layer, options.groups);
  auto op = std::make_unique<ConvTranspose>();
  op->stride_h = op->stride_w = options.stride;
  op->padding_h = op->padding_w = options.padding;
  op->dilation_h = op->dilation_w = options.dilation;
  op->output_padding_h = op->output_padding_w = options.output_padding;
  op->groups = options.groups;
  Graph& graph = x.graph();
  const Shape shape{x.channels(), options.out_channels / options.groups, options.kernel,
                    options.kernel};
  const Var weight = graph.parameter(fmt::format("{}.weight", name), Tensor(shape), Role::weight);
  if (!options.bias) {
    const Var y = graph.add(std::move(op), {x, weight}, name);
    draw_first_weights(graph, *weight.value().parameter(), nullptr);
    return y;
  }
  const Var bias = graph.parameter(fmt::format("{}.bias", name),
                                   Tensor(Shape{options.out_channels}), Role::bias);
  const Var y = graph.add(std::move(op), {x, weight, bias}, name);
  draw_first_weights(graph, *weight.value().parameter(), bias.value().parameter());
  return y;
}

}  // namespace rung
