#include <algorithm>

#include "ops/common.h"
#include "ops/norm/epsilon.h"
#include "ops/norm/fold_arithmetic.h"
#include "rung/ops/folded_batch_norm.h"

namespace rung {
namespace {

enum Input { kBias, kGamma, kBeta, kMean, kVariance, kBiasInputs };

class FoldedBiasKernel final : public Kernel {
 public:
  FoldedBiasKernel(const FoldedBias& op, const KernelContext& context)
      : channels_(context.inputs[kBias][0]),
        epsilon_(op.epsilon),
        is_zero_(context.mode == Mode::train && !op.frozen) {
    input_formats.assign(context.inputs.size(), Format::plain);
    output_formats = {Format::plain};
    workspace = bytes_of<float>(2 * channels_);  // d y / d bias, d y / d gamma
  }

  std::string name() const override { return is_zero_ ? "zero" : "loop"; }

  void forward(const Io& io) override {
    if (is_zero_) {
      std::ranges::fill(io.output(0).span(), 0.0f);
      return;
    }
    float *by_bias = io.workspace(), *by_gamma = by_bias + channels_;
    for (std::int64_t o = 0; o < channels_; ++o) {
      const auto at = [&](Input i) { return io.input(i).data[o]; };
      const float sigma = fold_sigma(at(kVariance), epsilon_);
      const float factor = fold_factor(at(kGamma), sigma);
      io.output(0).data[o] = fold_bias(at(kBias), at(kBeta), at(kMean), factor);
      by_bias[o] = factor;
      by_gamma[o] = (at(kBias) - at(kMean)) / sigma;
    }
  }

  void backward(const GradIo& io) override {
    const float *by_bias = io.workspace(), *by_gamma = by_bias + channels_;
    const float* dy = io.output_grad(0).data;
    const auto write = [&](Input i, const auto& slope) {
      if (!io.wants(i)) return;
      for (std::int64_t o = 0; o < channels_; ++o)
        io.input_grad(i).data[o] = is_zero_ ? 0.0f : dy[o] * slope(o);
    };
    write(kBias, [&](std::int64_t o) { return by_bias[o]; });
    write(kGamma, [&](std::int64_t o) { return by_gamma[o]; });
    write(kBeta, [](std::int64_t) { return 1.0f; });
  }

 private:
  std::int64_t channels_;
  float epsilon_;
  bool is_zero_;
};

}  // namespace

void FoldedBias::visit(AttributeVisitor& v) {
  v("epsilon", epsilon);
  v("frozen", frozen);
}

std::vector<Shape> FoldedBias::infer(std::span<const Shape> in) const {
  require_input_count(in, kBiasInputs);
  require_epsilon(epsilon);
  require(in[kBias].rank() == 1, "bias must be [O], got {}", in[kBias]);
  for (const Shape& shape : in)
    require(shape == in[kBias], "gamma, beta and statistics must be {}, got {}", in[kBias], shape);
  return {in[kBias]};
}

std::unique_ptr<Kernel> FoldedBias::compile(const KernelContext& context) const {
  return std::make_unique<FoldedBiasKernel>(*this, context);
}

}  // namespace rung
