#include <cmath>
#include <string>

#include "core/check.h"
#include "ops/norm/batch_norm_kernel.h"
#include "ops/norm/epsilon.h"
#include "rung/graph/graph.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

class BatchNormKernel final : public BatchNormKernelBase {
 public:
  BatchNormKernel(const BatchNormalization& op, const KernelContext& context)
      : BatchNormKernelBase(context, op.estimating || (context.mode == Mode::train && !op.frozen),
                            op.type()),
        op_(op) {}

  std::string name() const override { return name_with("bn"); }

  void forward(const Io& io) override {
    const Vectors v = vectors(io.workspace());
    if (batch_statistics_) {
      take_batch(io, v);
    } else {
      for (std::int64_t c = 0; c < channels_; ++c) {
        v.mean[c] = io.input(kMean).data[c];
        v.inverse[c] = 1.0f / std::sqrt(io.input(kVariance).data[c] + op_.epsilon);
      }
    }
    for (std::int64_t c = 0; c < channels_; ++c) {
      v.scale[c] = io.input(kWeight).data[c] * v.inverse[c];
      v.shift[c] = io.input(kBias).data[c] - v.mean[c] * v.scale[c];
      v.gain[c] = v.inverse[c];
    }
    apply(io);
  }

  void backward(const GradIo& io) override { backward_of_inputs(io); }

 private:
  // Normalizes with the batch's statistics and moves the running ones.
  void take_batch(const Io& io, const Vectors& v) const {
    reduce(io);
    float* running_mean = io.parameter(kMean)->edit().data().data();
    float* running_variance = io.parameter(kVariance)->edit().data().data();
    const double m = op_.estimating ? 1.0 : op_.momentum;
    for (std::int64_t c = 0; c < channels_; ++c) {
      const auto [mean, spread] = moments(io, c);
      const double variance = spread / count(), unbiased = spread / (count() - 1);
      v.mean[c] = static_cast<float>(mean);
      v.inverse[c] =
          static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(op_.epsilon)));
      running_mean[c] = static_cast<float>((1 - m) * running_mean[c] + m * mean);
      running_variance[c] = static_cast<float>((1 - m) * running_variance[c] + m * unbiased);
    }
  }

  BatchNormalization op_;
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
  require_epsilon(epsilon);
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
