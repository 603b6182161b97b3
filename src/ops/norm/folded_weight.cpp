#include <algorithm>

#include "ops/common.h"
#include "ops/norm/epsilon.h"
#include "ops/norm/fold_arithmetic.h"
#include "rung/core/parallel.h"
#include "rung/ops/folded_batch_norm.h"

namespace rung {
namespace {

enum WeightInput { kWeight, kWeightGamma, kWeightVariance };

class FoldedWeightKernel final : public Kernel {
 public:
  FoldedWeightKernel(const FoldedWeight& op, const KernelContext& context)
      : channels_(context.inputs[kWeight][0]),
        row_(channels_ == 0 ? 0 : context.inputs[kWeight].numel() / channels_),
        epsilon_(op.epsilon) {
    input_formats.assign(context.inputs.size(), Format::plain);
    output_formats = {Format::plain};
    // Forward's factors: the batch norm moves running_var before backward comes.
    workspace = bytes_of<float>(2 * channels_);
    needs = context.wants[kWeightGamma] ? op.backward_needs() : Needs::nothing();
  }

  std::string name() const override { return "loop"; }

  void forward(const Io& io) override {
    float *factor = io.workspace(), *sigma = factor + channels_;
    const float *w = io.input(kWeight).data, *gamma = io.input(kWeightGamma).data,
                *variance = io.input(kWeightVariance).data;
    float* y = io.output(0).data;
    each_channel([&](std::int64_t o) {
      sigma[o] = fold_sigma(variance[o], epsilon_);
      factor[o] = fold_factor(gamma[o], sigma[o]);
      for (std::int64_t i = o * row_; i < (o + 1) * row_; ++i) y[i] = w[i] * factor[o];
    });
  }

  void backward(const GradIo& io) override {
    const float *factor = io.workspace(), *sigma = factor + channels_;
    const float *dy = io.output_grad(0).data, *w = io.input(kWeight).data;
    float* dw = io.wants(kWeight) ? io.input_grad(kWeight).data : nullptr;
    float* dgamma = io.wants(kWeightGamma) ? io.input_grad(kWeightGamma).data : nullptr;
    each_channel([&](std::int64_t o) {
      const std::int64_t begin = o * row_, end = begin + row_;
      if (dw != nullptr)
        for (std::int64_t i = begin; i < end; ++i) dw[i] = dy[i] * factor[o];
      if (dgamma == nullptr) return;
      double sum = 0;
      for (std::int64_t i = begin; i < end; ++i) sum += static_cast<double>(dy[i]) * w[i];
      dgamma[o] = static_cast<float>(sum / sigma[o]);
    });
  }

 private:
  template <typename Body>
  void each_channel(const Body& body) const {
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, row_));
    parallel_for(channels_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) body(o);
    });
  }

  std::int64_t channels_, row_;
  float epsilon_;
};

}  // namespace

void FoldedWeight::visit(AttributeVisitor& v) { v("epsilon", epsilon); }

std::vector<Shape> FoldedWeight::infer(std::span<const Shape> in) const {
  require_input_count(in, 3);
  require_epsilon(epsilon);
  require(in[kWeight].rank() >= 1, "weight must be [O, ...], got {}", in[kWeight]);
  for (const WeightInput i : {kWeightGamma, kWeightVariance})
    require(in[i] == Shape{in[kWeight][0]}, "gamma and running_var must be [{}], got {}",
            in[kWeight][0], in[i]);
  return {in[kWeight]};
}

std::unique_ptr<Kernel> FoldedWeight::compile(const KernelContext& context) const {
  return std::make_unique<FoldedWeightKernel>(*this, context);
}

}  // namespace rung
