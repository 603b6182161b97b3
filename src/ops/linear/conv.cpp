#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "backend/onednn.h"
#include "core/check.h"
#include "kernels/batch_norm.h"
#include "kernels/relu.h"
#include "kernels/reorder.h"
#include "kernels/winograd/convolution.h"
#include "ops/common.h"
#include "ops/linear/conv_algorithm.h"
#include "ops/linear/conv_reach.h"
#include "ops/linear/exact.h"
#include "ops/linear/image_axes.h"
#include "ops/linear/image_gradient.h"
#include "ops/quantize/epilogue.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

// Blocked formats need whole blocks of channels per group, or one channel per group (depthwise).
bool blocks_fit(const Conv& op, std::int64_t inputs, std::int64_t outputs, Format blocked) {
  if (blocked == Format::plain) return false;
  if (op.groups == 1) return true;
  const auto block = static_cast<std::int64_t>(blocked);
  if (op.groups == inputs && op.groups == outputs) return inputs % block == 0;
  return inputs / op.groups % block == 0 && outputs / op.groups % block == 0;
}

class ConvKernel final : public Kernel {
 public:
  ConvKernel(const Conv& op, const KernelContext& context) : epilogue_(context) {
    const Shape &x = context.inputs[0], &w = context.inputs[1], &y = context.outputs[0];
    backend::ConvolutionSpec spec;
    const auto [outputs, channels, kernel_h, kernel_w] = image_extents(w);
    spec.src = image_extents(x);
    spec.dst = image_extents(y);
    spec.kernel = {kernel_h, kernel_w};
    spec.stride = {op.stride_h, op.stride_w};
    spec.padding = {op.padding_h, op.padding_w};
    spec.padding_more = {op.padding_more_h, op.padding_more_w};
    spec.dilation = {op.dilation_h, op.dilation_w};
    spec.groups = op.groups;
    if (const Tail* addition = Tails::of(context.tails)->addition; addition != nullptr)
      residual_ = addition->first_input;
    spec.add = residual_ != 0;
    spec.bias = context.own_inputs() > 2;
    if (!epilogue_.has_quantizer()) spec.clip = {epilogue_.bounds().low, epilogue_.bounds().high};
    spec.backward_data = wants_data_ = context.wants[0];
    spec.backward_weights = wants_weights_ = context.wants[1] || (spec.bias && context.wants[2]);
    // Few input channels (an image) stay row-major: first-layer kernels read that directly.
    const Format blocked =
        blocks_fit(op, x[1], y[1], context.blocked) ? context.blocked : Format::plain;
    spec.dst_format = blocked;
    spec.src_format = x[1] <= 4 && op.groups == 1 ? Format::plain : blocked;
    if (spec.src_format != Format::plain && winograd_fits(op, w)) take_passes(spec, context);
    if (spec.backward_data && spec.src_format != spec.dst_format) {
      image_gradient_.emplace(spec);
      spec.backward_data = false;
    }
    std::int64_t forward_floats = 0, backward_floats = 0;  // of scratch memory
    if (spec.forward || spec.backward_data || spec.backward_weights) {
      direct_ = std::make_unique<backend::Convolution>(spec);
      if (direct_->is_reference() && blocked != Format::plain) {  // oneDNN alone, row-major
        forward_ = data_ = weights_ = std::nullopt;
        image_gradient_.reset();
        spec.src_format = spec.dst_format = Format::plain;
        spec.forward = true;
        spec.backward_data = wants_data_;
        spec.backward_weights = wants_weights_;
        direct_ = std::make_unique<backend::Convolution>(spec);
      }
      forward_floats = backward_floats = direct_->scratch_floats();
    }
    spec_ = spec;
    input_formats.assign(context.inputs.size(), Format::plain);
    input_formats[0] = spec.src_format;
    output_formats = {spec.dst_format};
    if (spec.add) input_formats[residual_] = spec.dst_format;
    if (image_gradient_)
      backward_floats = std::max(backward_floats, image_gradient_->scratch_floats());
    if (forward_) forward_floats = std::max(forward_floats, forward_->cut.scratch);
    for (const auto* pass : {&data_, &weights_})
      if (*pass) backward_floats = std::max(backward_floats, (*pass)->cut.scratch);
    const bool reads_weights =
        wants_data_ && (data_ || image_gradient_ || !direct_->keeps_weights());
    needs = {.input_bits = (wants_weights_ ? 0b01u : 0u) | (reads_weights ? 0b10u : 0u),
             .output_bits = 0};
    weights_floats_ = w.numel();
    bias_floats_ = spec.bias ? y[1] : 0;
    if (wants_weights_) {
      if (!context.wants[1]) backward_floats += weights_floats_;
      if (spec.bias && !context.wants[2]) backward_floats += bias_floats_;
    }
    flops_forward = 2.0 * static_cast<double>(y.numel() * channels * kernel_h * kernel_w);
    flops_backward = flops_forward * (wants_data_ + wants_weights_);
    if (context.mode == Mode::train && !epilogue_.empty()) {
      masked_floats_ = kernels::padded_count(y, spec.dst_format);
      backward_floats += masked_floats_;
      if (epilogue_.has_quantizer())
        workspace = kernels::mask_bytes(masked_floats_);
      else  // by y
        needs.output_bits = 0b1;
    }
    scratch_forward = bytes_of<float>(forward_floats);
    scratch_backward = bytes_of<float>(backward_floats);
  }

  std::string name() const override {
    const std::string direct = direct_ ? direct_->implementation() : "";
    const std::string winograd = fmt::format("winograd:{}", kernels::isa_name());
    const bool both = direct_ && (forward_ || data_ || weights_);
    return (both       ? forward_ ? winograd + "/" + direct : direct + "/" + winograd
            : forward_ ? winograd
                       : direct) +
           (residual_ != 0 ? "+add" : "") + epilogue_.suffix();
  }

  bool packs() const override { return epilogue_.packs(); }
  void pack(const View& y, std::uint8_t* codes) const override { epilogue_.pack(y, codes); }
  void unpack(const std::uint8_t* codes, const View& y) const override {
    epilogue_.unpack(codes, y);
  }

  void forward(const Io& io) override {
    const View& y = io.output(0);
    const float* bias = bias_floats_ > 0 ? io.input(2).data : nullptr;
    const float* added = residual_ != 0 ? io.input(residual_).data : nullptr;
    const kernels::Epilogue& epilogue = epilogue_.begin(io);
    std::uint8_t* const bits = epilogue_.has_quantizer() ? io.workspace<std::uint8_t>() : nullptr;
    const ConvReach::Inputs inputs{.x = io.input(0),
                                   .weights = io.input(1),
                                   .bias = bias != nullptr ? &io.input(2) : nullptr,
                                   .added = added != nullptr ? &io.input(residual_) : nullptr};
    const bool washes = !forward_ && spec_.clip.any();
    const double reach = washes || io.mode() == Mode::eval ? reach_.of(inputs, washes) : kUnknown;
    if (y.reach != nullptr && !epilogue_.has_quantizer()) *y.reach = reach;
    if (washes && reach == kUnknown) {
      forward_and_clip(io, bias, added);
    } else if (forward_) {
      kernels::winograd::forward(forward_->sizes, forward_->cut, io.input(0).data, io.input(1).data,
                                 false, {bias, added, epilogue, bits}, y.data, io.scratch());
    } else {
      direct_->forward(io.input(0).data, io.input(1).data, io.input(1).version, bias, added, y.data,
                       io.scratch());
      if (epilogue_.has_quantizer()) kernels::finish(y.data, y.data, y.count, epilogue, bits);
    }
    epilogue_.end(y);
  }

  void backward(const GradIo& io) override {
    float* scratch = io.scratch();
    const auto take = [&](std::int64_t floats) {
      float* taken = scratch;
      scratch += floats;
      return taken;
    };
    const float* dy = io.output_grad(0).data;
    if (!epilogue_.empty()) {
      float* masked = take(masked_floats_);
      if (epilogue_.has_quantizer())
        kernels::masked(dy, io.workspace<std::uint8_t>(), masked, masked_floats_);
      else
        kernels::pass_between(dy, io.output(0).data, masked, masked_floats_,
                              kernels::passes(epilogue_.bounds()));
      dy = masked;
    }
    float* dw = nullptr;
    float* db = nullptr;
    if (wants_weights_) {
      dw = io.wants(1) ? io.input_grad(1).data : take(weights_floats_);
      if (bias_floats_ > 0) db = io.wants(2) ? io.input_grad(2).data : take(bias_floats_);
    }
    if (io.wants(0)) {
      if (data_)
        kernels::winograd::forward(data_->sizes, data_->cut, dy, io.input(1).data, true, {},
                                   io.input_grad(0).data, scratch);
      else if (image_gradient_)
        image_gradient_->run(dy, io.input(1).data, io.input_grad(0).data, scratch);
      else
        direct_->backward_data(dy, io.input(1).data, io.input(1).version, io.input_grad(0).data,
                               scratch);
    }
    if (!wants_weights_) return;
    if (weights_) {
      kernels::winograd::backward_weights(weights_->sizes, weights_->cut, io.input(0).data, dy, dw,
                                          scratch);
      if (db != nullptr) kernels::sum_channels(dy, *io.output(0).shape, output_formats[0], db);
    } else {
      direct_->backward_weights(io.input(0).data, dy, dw, db, scratch);
    }
  }

 private:
  // oneDNN's Relu makes 0 of NaN: where there may be one, numbers are clipped by themselves.
  void forward_and_clip(const Io& io, const float* bias, const float* added) {
    const View& y = io.output(0);
    if (!without_clip_) {
      backend::ConvolutionSpec spec = spec_;
      spec.clip = {};
      spec.backward_data = spec.backward_weights = false;
      without_clip_ = std::make_unique<backend::Convolution>(spec);
      own_scratch_.resize(static_cast<std::size_t>(without_clip_->scratch_floats()));
    }
    without_clip_->forward(io.input(0).data, io.input(1).data, io.input(1).version, bias, added,
                           y.data, own_scratch_.data());
    // What prepares the weights for backward.
    if (direct_->keeps_weights()) direct_->prepare_weights(io.input(1).data, io.input(1).version);
    kernels::finish(y.data, y.data, y.count, epilogue_.bounds(), nullptr);
  }

  static bool winograd_fits(const Conv& op, const Shape& weight) {
    return op.axes == 2 && weight[2] == 3 && weight[3] == 3 && op.stride_h == 1 &&
           op.stride_w == 1 && op.dilation_h == 1 && op.dilation_w == 1 &&
           op.padding_h == op.padding_w && op.padding_h <= 1 && op.padding_more_h == 0 &&
           op.padding_more_w == 0 && op.groups == 1;
  }

  // Takes the passes that Winograd's convolution does from the direct one.
  void take_passes(backend::ConvolutionSpec& spec, const KernelContext& context) {
    const backend::ConvolutionSpec whole = spec;
    const auto take = [&](ConvPass pass, bool& direct, std::optional<WinogradPass>& chosen) {
      if (direct) chosen = choose_winograd(pass, whole, context);
      direct = direct && !chosen;
    };
    take(ConvPass::forward, spec.forward, forward_);
    take(ConvPass::backward_data, spec.backward_data, data_);
    take(ConvPass::backward_weights, spec.backward_weights, weights_);
  }

  static constexpr double kUnknown = std::numeric_limits<double>::infinity();
  backend::ConvolutionSpec spec_;                 // of direct_
  std::unique_ptr<backend::Convolution> direct_;  // nullptr if nothing is left for it
  std::unique_ptr<backend::Convolution> without_clip_;
  std::vector<float> own_scratch_;
  ConvReach reach_;
  std::optional<WinogradPass> forward_, data_, weights_;
  std::optional<ImageGradient> image_gradient_;
  Epilogue epilogue_;
  std::int64_t weights_floats_ = 0, bias_floats_ = 0, masked_floats_ = 0;
  std::size_t residual_ = 0;  // the input that a fused Add adds; 0: there is none
  bool wants_data_ = false, wants_weights_ = false;
};

}  // namespace

void Conv::visit(AttributeVisitor& v) {
  AxesVisitor(v, axes).window(*this);
  v("group", groups);
}

std::vector<Shape> Conv::infer(std::span<const Shape> in) const {
  require(in.size() == 2 || in.size() == 3, "takes x, weight and optionally bias, got {} inputs",
          in.size());
  const Shape &x = in[0], &w = in[1];
  require(x.rank() == axes + 2, "x must be {}, got {}", axes == 1 ? "[N, C, L]" : "[N, C, H, W]",
          x);
  require_axes(*this);
  require(groups > 0 && x[1] % groups == 0, "groups must divide the {} input channels, got {}",
          x[1], groups);
  require(w.rank() == axes + 2 && w[1] == x[1] / groups && w[0] > 0 && w[0] % groups == 0 &&
              w[2] > 0 && w[axes + 1] > 0,
          "weight must be [O, I/groups, {}] with I/groups = {} and O a multiple of {}, got {}",
          axes == 1 ? "K" : "KH, KW", x[1] / groups, groups, w);
  require(in.size() == 2 || in[2] == Shape{w[0]}, "bias must be [{}], got {}", w[0],
          in.size() == 3 ? in[2] : Shape{});
  const auto extent = [](std::int64_t size, std::int64_t kernel, std::int64_t stride,
                         std::int64_t paddings, std::int64_t dilation) {
    const std::int64_t reach = dilation * (kernel - 1) + 1;
    require(size + paddings >= reach, "the kernel reaches over {} pixels, the padded image has {}",
            reach, size + paddings);
    return (size + paddings - reach) / stride + 1;
  };
  const auto [images, channels, height, width] = image_extents(x);
  const auto [outputs, unused, kernel_h, kernel_w] = image_extents(w);
  return {
      image_shape(axes, images, outputs,
                  extent(height, kernel_h, stride_h, 2 * padding_h + padding_more_h, dilation_h),
                  extent(width, kernel_w, stride_w, 2 * padding_w + padding_more_w, dilation_w))};
}

std::unique_ptr<Kernel> Conv::compile(const KernelContext& context) const {
  if (context.takes_codes) return exact_kernel(context, *this);
  return std::make_unique<ConvKernel>(*this, context);
}

}  // namespace rung
