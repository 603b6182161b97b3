#include <cmath>

#include "core/format.h"
#include "kernels/batch_norm.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

enum Input { kX, kWeight, kBias, kMean, kVariance };

// Runs on any format: a tensor is [images, blocks, area, lanes], lanes = 1 in row-major. Per
// channel vectors are padded to blocks * lanes; padded channels get scale = shift = 0.
class BatchNormKernel final : public Kernel {
 public:
  BatchNormKernel(const BatchNormalization& op, const KernelContext& context)
      : op_(op),
        relu_(context.fused_relu),
        batch_statistics_(context.mode == Mode::train && !op.frozen) {
    const Shape& x = context.inputs[0];
    lanes_ = static_cast<std::int64_t>(context.formats[0]);
    images_ = x[0];
    channels_ = x[1];
    blocks_ = (channels_ + lanes_ - 1) / lanes_;
    area_ = x.numel() == 0 ? 0 : x.numel() / (x[0] * x[1]);
    input_formats.assign(5, Format::plain);
    input_formats[0] = context.formats[0];
    output_formats = {context.formats[0]};
    padded_ = blocks_ * lanes_;
    workspace = 4 * padded_;  // mean, 1 / sigma, scale, shift
    scratch_forward = 2 * images_ * padded_;
    scratch_backward = 2 * images_ * padded_ + 3 * padded_;
    needs = Needs::inputs(0b00011);  // the sign of y follows from x, scale and shift
    require(!batch_statistics_ || images_ * area_ > 1,
            "[BatchNormalization {}] needs more than one value per channel in training, got {}",
            context.name, x);
  }

  std::string name() const override {
    return std::string(relu_ ? "bn+relu:" : "bn:").append(kernels::isa_name());
  }

  void forward(const Io& io) override {
    float* mean = io.workspace();
    float *inverse = mean + padded_, *scale = inverse + padded_, *shift = scale + padded_;
    if (batch_statistics_) {
      float *sums = io.scratch(), *squares = sums + images_ * padded_;
      kernels::batch_norm_statistics(io.input(kX).data, extents(), sums, squares);
      combine(io, sums, squares, mean, inverse);
    } else {
      for (std::int64_t c = 0; c < channels_; ++c) {
        mean[c] = io.input(kMean).data[c];
        inverse[c] = 1.0f / std::sqrt(io.input(kVariance).data[c] + op_.epsilon);
      }
    }
    for (std::int64_t c = 0; c < padded_; ++c) {
      const bool real = c < channels_;
      scale[c] = real ? io.input(kWeight).data[c] * inverse[c] : 0.0f;
      shift[c] = real ? io.input(kBias).data[c] - mean[c] * scale[c] : 0.0f;
      if (!real) mean[c] = inverse[c] = 0.0f;
    }
    kernels::batch_norm_apply(io.input(kX).data, io.output(0).data, extents(), scale, shift, relu_);
  }

  void backward(const GradIo& io) override {
    const float* mean = io.workspace();
    const float *inverse = mean + padded_, *scale = inverse + padded_, *shift = scale + padded_;
    const float *x = io.input(kX).data, *dy = io.output_grad(0).data;
    float *sums = io.scratch(), *products = sums + images_ * padded_;
    float *a = products + images_ * padded_, *b = a + padded_, *c = b + padded_;
    kernels::batch_norm_gradient_sums(x, dy, extents(), mean, scale, shift, relu_, sums, products);
    const double count = static_cast<double>(images_ * area_);
    for (std::int64_t k = 0; k < padded_; ++k) {
      double sum = 0, product = 0;  // of dy, and of dy * (x - mean)
      for (std::int64_t n = 0; n < images_; ++n) {
        sum += sums[n * padded_ + k];
        product += products[n * padded_ + k];
      }
      if (k < channels_ && io.wants(kWeight))
        io.input_grad(kWeight).data[k] = static_cast<float>(product * inverse[k]);
      if (k < channels_ && io.wants(kBias)) io.input_grad(kBias).data[k] = static_cast<float>(sum);
      // dx = scale * (dy - mean(dy) - (x - mean) * product / (count * variance)) = a dy + b x + c
      const double slope =
          batch_statistics_ ? -scale[k] * product * inverse[k] * inverse[k] / count : 0.0;
      a[k] = scale[k];
      b[k] = static_cast<float>(slope);
      c[k] =
          batch_statistics_ ? static_cast<float>(-scale[k] * sum / count - slope * mean[k]) : 0.f;
    }
    if (io.wants(kX))
      kernels::batch_norm_gradient(x, dy, io.input_grad(kX).data, extents(), a, b, c, scale, shift,
                                   relu_);
  }

 private:
  kernels::BatchNormExtents extents() const { return {images_, blocks_, area_, lanes_}; }

  // Merges the sums of images into batch statistics (Chan, Golub, LeVeque 1979) in double, in the
  // order of the images, and moves the running statistics.
  void combine(const Io& io, const float* sums, const float* squares, float* mean, float* inverse) {
    float* running_mean = io.parameter(kMean)->edit().data().data();
    float* running_variance = io.parameter(kVariance)->edit().data().data();
    const auto area = static_cast<double>(area_);
    const double count = static_cast<double>(images_) * area;
    for (std::int64_t c = 0; c < channels_; ++c) {
      double total = 0;
      for (std::int64_t n = 0; n < images_; ++n) total += sums[n * padded_ + c];
      const double center = total / count;
      double spread = 0;  // squares holds sum (x - mean of its image)^2
      for (std::int64_t n = 0; n < images_; ++n) {
        const double offset = sums[n * padded_ + c] / area - center;
        spread += squares[n * padded_ + c] + area * offset * offset;
      }
      const double variance = spread / count;
      mean[c] = static_cast<float>(center);
      inverse[c] = static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(op_.epsilon)));
      const double m = op_.momentum, unbiased = spread / (count - 1);
      running_mean[c] = static_cast<float>((1 - m) * running_mean[c] + m * center);
      running_variance[c] = static_cast<float>((1 - m) * running_variance[c] + m * unbiased);
    }
  }

  BatchNormalization op_;
  std::int64_t images_, channels_, blocks_, area_, lanes_, padded_;
  bool relu_, batch_statistics_;
};

}  // namespace

void BatchNormalization::visit(AttributeVisitor& v) {
  v("epsilon", epsilon);
  v("momentum", momentum);
  v("frozen", frozen);
}

std::vector<Shape> BatchNormalization::infer(std::span<const Shape> in) const {
  require(in.size() == 5, "takes x, weight, bias, running_mean, running_var, got {} inputs",
          in.size());
  require(in[0].rank() >= 2, "x must be [N, C, ...], got {}", in[0]);
  for (std::size_t i = 1; i < 5; ++i)
    require(in[i] == Shape{in[0][1]}, "weight, bias and statistics must be [{}], got {}", in[0][1],
            in[i]);
  return {in[0]};
}

std::unique_ptr<Kernel> BatchNormalization::compile(const KernelContext& context) const {
  return std::make_unique<BatchNormKernel>(*this, context);
}

}  // namespace rung
