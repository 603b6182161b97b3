#include "kernels/relu.h"
#include "kernels/reorder.h"
#include "ops/elementwise/broadcast.h"
#include "ops/quantize/epilogue.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

// What backward knows the passing gradients from: clipping by the output; a fused
// quantizer by a bit per number, or, as its range's gradient needs the sum itself, by adding again.
class AddKernel final : public Kernel {
 public:
  explicit AddKernel(const KernelContext& context) : epilogue_(context) {
    // If only one side comes blocked, the other is reordered to it.
    const Format format = std::max(context.formats[0], context.formats[1]);
    input_formats.assign(context.inputs.size(), Format::plain);
    input_formats[0] = input_formats[1] = format;
    output_formats = {format};
    const std::int64_t count = kernels::padded_count(context.outputs[0], format);
    wanted_ = context.wants[0] ? 0 : context.wants[1] ? 1 : -1;
    if (epilogue_.learns()) {
      needs = Needs::inputs(0b11);
      if (wanted_ < 0) scratch_backward = bytes_of<float>(count);
    } else if (epilogue_.has_quantizer()) {
      has_mask_ = context.mode == Mode::train;
      if (has_mask_) workspace = kernels::mask_bytes(count);
    } else if (!epilogue_.empty()) {
      needs = Needs::outputs();
    }
  }
  std::string name() const override { return "add" + epilogue_.suffix(); }

  bool packs() const override { return epilogue_.packs(); }
  void pack(const View& y, std::uint8_t* codes) const override { epilogue_.pack(y, codes); }
  void unpack(const std::uint8_t* codes, const View& y) const override {
    epilogue_.unpack(codes, y);
  }

  void forward(const Io& io) override {
    const View& y = io.output(0);
    kernels::add(io.input(0).data, io.input(1).data, y.data, y.count, epilogue_.begin(io),
                 has_mask_ ? io.workspace<std::uint8_t>() : nullptr);
    epilogue_.end(y);
  }

  void backward(const GradIo& io) override {  // without an epilogue the gradient is dy itself
    const View& dy = io.output_grad(0);
    float* dx = wanted_ < 0 ? io.scratch() : io.input_grad(static_cast<std::size_t>(wanted_)).data;
    if (epilogue_.learns()) {
      const kernels::AffineSums sums = kernels::add_backward(
          io.input(0).data, io.input(1).data, dy.data, dx, dy.count, epilogue_.last());
      epilogue_.write_gradients(io, sums, dy.shape->numel());
    } else if (has_mask_) {
      kernels::masked(dy.data, io.workspace<std::uint8_t>(), dx, dy.count);
    } else {
      kernels::pass_between(dy.data, io.output(0).data, dx, dy.count,
                            kernels::passes(epilogue_.bounds()));
    }
  }
  int gradient_is_output(std::size_t i) const override {
    return epilogue_.empty() && i < 2 ? 0 : -1;
  }
  int gradient_is_input(std::size_t i) const override {
    return !epilogue_.empty() && i == 1 && wanted_ == 0 ? 0 : -1;
  }

 private:
  Epilogue epilogue_;
  int wanted_;  // the input whose gradient is written; that of the other is the same
  bool has_mask_ = false;
};

/// Adds operands of different shapes. Plans fuse nothing into it.
class BroadcastAddKernel final : public Kernel {
 public:
  explicit BroadcastAddKernel(const KernelContext& context)
      : both_(context.inputs[0], context.inputs[1]),
        whole_{context.inputs[0] == context.outputs[0], context.inputs[1] == context.outputs[0]} {
    input_formats = {Format::plain, Format::plain};
    output_formats = {Format::plain};
  }
  std::string name() const override { return "broadcast_add"; }

  void forward(const Io& io) override {
    both_.map(io.input(0).data, io.input(1).data, io.output(0).data,
              [](float l, float r) { return l + r; });
  }
  void backward(const GradIo& io) override {
    const float* dy = io.output_grad(0).data;  // also read in place of operands nobody needs
    const auto gradient = [](float d, float, float) { return d; };
    if (io.wants(0)) both_.reduce<0>(dy, dy, dy, io.input_grad(0).data, gradient);
    if (io.wants(1)) both_.reduce<1>(dy, dy, dy, io.input_grad(1).data, gradient);
  }
  int gradient_is_output(std::size_t i) const override { return whole_[i] ? 0 : -1; }

 private:
  Broadcast both_;
  bool whole_[2];  // not repeated: the gradient is that of the output
};

}  // namespace

std::vector<Shape> Add::infer(std::span<const Shape> in) const {
  require_input_count(in, 2);
  return {broadcast_shape(in[0], in[1])};
}

std::unique_ptr<Kernel> Add::compile(const KernelContext& context) const {
  if (context.inputs[0] != context.inputs[1]) return std::make_unique<BroadcastAddKernel>(context);
  return std::make_unique<AddKernel>(context);
}

}  // namespace rung
