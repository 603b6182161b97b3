#include <algorithm>
#include <vector>

#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"

namespace rung {
namespace {

/// Runs plane by plane, one image and one channel block, in the format that x comes in. One slope
/// for all channels is that of each.
class PReluKernel final : public Kernel {
 public:
  explicit PReluKernel(const KernelContext& context)
      : is_shared_(context.inputs[1].numel() == 1), lanes_(static_cast<int>(context.formats[0])) {
    const Shape& x = context.inputs[0];
    channels_ = x.rank() < 2 ? 1 : x[1];
    images_ = x.rank() < 2 ? 1 : x[0];
    area_ = x.rank() < 2 ? x.numel() : product(x, 2, x.rank());
    blocks_ = (channels_ + lanes_ - 1) / lanes_;
    input_formats = {context.formats[0], Format::plain};
    output_formats = {context.formats[0]};
    needs = {.input_bits = 0b11, .output_bits = 0};
    if (context.wants[1]) sums_.resize(static_cast<std::size_t>(images_ * blocks_ * lanes_));
  }
  std::string name() const override { return "loop"; }

  void forward(const Io& io) override {
    const float *x = io.input(0).data, *slope = io.input(1).data;
    float* y = io.output(0).data;
    each_plane([&](std::int64_t plane) {
      float slopes[16];
      read(slope, plane, slopes);
      for (std::int64_t i = plane * area_; i < (plane + 1) * area_; ++i)
        for (std::int64_t lane = 0; lane < lanes_; ++lane) {
          const float value = x[i * lanes_ + lane];
          y[i * lanes_ + lane] = value > 0.0f ? value : slopes[lane] * value;
        }
    });
  }

  void backward(const GradIo& io) override {
    const float *x = io.input(0).data, *slope = io.input(1).data, *dy = io.output_grad(0).data;
    if (io.wants(0)) {
      float* dx = io.input_grad(0).data;
      each_plane([&](std::int64_t plane) {
        float slopes[16];
        read(slope, plane, slopes);
        for (std::int64_t i = plane * area_; i < (plane + 1) * area_; ++i)
          for (std::int64_t lane = 0; lane < lanes_; ++lane) {
            const std::int64_t at = i * lanes_ + lane;
            dx[at] = x[at] > 0.0f ? dy[at] : slopes[lane] * dy[at];
          }
      });
    }
    if (io.wants(1)) slope_gradient(x, dy, io.input_grad(1).data);
  }

 private:
  template <typename Body>
  void each_plane(const Body& body) const {
    const std::int64_t grain =
        std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, area_ * lanes_));
    parallel_for(images_ * blocks_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) body(plane);
    });
  }

  /// Reads the slopes of a plane's channels; those of padding are 0.
  void read(const float* slope, std::int64_t plane, float* slopes) const {
    const std::int64_t first = plane % blocks_ * lanes_;
    for (std::int64_t lane = 0; lane < lanes_; ++lane)
      slopes[lane] = first + lane >= channels_ ? 0.0f : slope[is_shared_ ? 0 : first + lane];
  }

  /// Sums x dy where x is not positive: per plane, then over the images in order, so that threads
  /// make no difference.
  void slope_gradient(const float* x, const float* dy, float* gradient) {
    each_plane([&](std::int64_t plane) {
      double sums[16] = {};
      for (std::int64_t i = plane * area_; i < (plane + 1) * area_; ++i)
        for (std::int64_t lane = 0; lane < lanes_; ++lane) {
          const std::int64_t at = i * lanes_ + lane;
          if (!(x[at] > 0.0f)) sums[lane] += static_cast<double>(x[at]) * dy[at];
        }
      std::copy_n(sums, lanes_, sums_.begin() + plane * lanes_);
    });
    std::vector<double> all(static_cast<std::size_t>(is_shared_ ? 1 : channels_), 0.0);
    for (std::int64_t n = 0; n < images_; ++n)
      for (std::int64_t c = 0; c < channels_; ++c)
        all[static_cast<std::size_t>(is_shared_ ? 0 : c)] +=
            sums_[static_cast<std::size_t>(n * blocks_ * lanes_ + c)];
    std::ranges::transform(all, gradient, [](double sum) { return static_cast<float>(sum); });
  }

  bool is_shared_;
  std::int64_t lanes_, images_ = 1, channels_ = 1, blocks_ = 1, area_ = 1;
  std::vector<double> sums_;  // of each plane's lanes
};

/// y = x          where x > 0
///     slope * x  elsewhere; a slope per channel, or one                               ONNX: PRelu
struct PRelu final : Op {
  std::string_view type() const override { return "PRelu"; }
  void visit(AttributeVisitor&) override {}
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 2);
    const Shape &x = inputs[0], &slope = inputs[1];
    // ONNX repeats the slope as NumPy does: that of a channel is [C, 1, 1] there.
    const std::int64_t axis = slope.rank() == 1 ? 0 : slope.rank() + 1 - x.rank();
    const bool is_per_channel = x.rank() >= 2 && axis >= 0 && axis < slope.rank() &&
                                slope[axis] == x[1] && slope.numel() == x[1];
    require(slope.numel() == 1 || is_per_channel,
            "slope must be one number or one per channel of {}, got {}", x, slope);
    return {x};
  }
  Needs backward_needs() const override { return Needs::inputs(0b11); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override {
    return std::make_unique<PReluKernel>(context);
  }
  std::unique_ptr<Op> clone() const override { return std::make_unique<PRelu>(*this); }
};

}  // namespace

std::unique_ptr<Op> make_prelu() { return std::make_unique<PRelu>(); }

Var nn::prelu(Var x, const PReluOptions& options, std::string_view name) {
  const std::string layer = x.graph().scoped(name);
  require(options.channels > 0, "[{}] prelu needs .channels of at least 1", layer);
  const Var slope = x.graph().parameter(
      fmt::format("{}.weight", name), Tensor::full({options.channels}, options.slope), Role::norm);
  return x.graph().add(std::make_unique<PRelu>(), {x, slope}, name);
}

}  // namespace rung
