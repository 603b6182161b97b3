#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "kernels/relu.h"
#include "ops/common.h"
#include "ops/norm/batch_norm_kernel.h"
#include "ops/norm/epsilon.h"
#include "ops/norm/fold_arithmetic.h"
#include "rung/graph/graph.h"
#include "rung/ops/folded_batch_norm.h"

namespace rung {
namespace {

constexpr std::size_t kInputs = 6;  // x, gamma, beta, running_mean, running_var, bias
constexpr std::size_t kLayerBias = 5;

void clear(const GradIo& io, std::size_t input) {
  if (io.wants(input)) std::ranges::fill(io.input_grad(input).span(), 0.0f);
}

// Training. With f = gamma / sigma, u = x / f + bias is never computed: its moments are those of x,
//   mean_u = mean_x / f + bias, var_u = var_x / f^2,
// and normalizing it is normalizing x with |gamma| for gamma and epsilon f^2 for epsilon:
//   y = |gamma| (x - mean_x) / sqrt(var_x + epsilon f^2) + beta.
// f depends on gamma, too, so that d y / d gamma is what batch norm has times
//   var_x / (var_x + epsilon f^2).
class BatchKernel final : public BatchNormKernelBase {
 public:
  BatchKernel(const FoldedBatchNormalization& op, const KernelContext& context)
      : BatchNormKernelBase(context, /*batch_statistics=*/true, op.type()), op_(op) {}

  std::string name() const override { return name_with("bn folded"); }

  void forward(const Io& io) override {
    reduce(io);
    const Vectors v = vectors(io.workspace());
    float* running_mean = io.parameter(kMean)->edit().data().data();
    float* running_variance = io.parameter(kVariance)->edit().data().data();
    const double m = op_.momentum;
    for (std::int64_t c = 0; c < channels_; ++c) {
      const float gamma = io.input(kWeight).data[c], beta = io.input(kBias).data[c];
      // As FoldedWeight computed it: running_var has not moved yet.
      const float f = fold_factor(gamma, fold_sigma(running_variance[c], op_.epsilon));
      const auto [mean, spread] = moments(io, c);
      v.mean[c] = static_cast<float>(mean);
      if (f == 0.0f) {
        v.inverse[c] = v.scale[c] = v.gain[c] = 0.0f;
        v.shift[c] = beta;
        continue;
      }
      const double factor = f, variance = spread / count();
      const double total = variance + op_.epsilon * factor * factor;
      const double inverse = 1.0 / std::sqrt(total);
      v.inverse[c] = static_cast<float>(inverse);
      v.scale[c] = static_cast<float>(std::abs(double{gamma}) * inverse);
      v.shift[c] = static_cast<float>(beta - mean * v.scale[c]);
      v.gain[c] = static_cast<float>(std::copysign(inverse, gamma) * variance / total);
      const double mean_u = mean / factor + io.input(kLayerBias).data[c];
      const double unbiased_u = spread / (count() - 1) / (factor * factor);
      running_mean[c] = static_cast<float>((1 - m) * running_mean[c] + m * mean_u);
      running_variance[c] = static_cast<float>((1 - m) * running_variance[c] + m * unbiased_u);
    }
    apply(io);
  }

  void backward(const GradIo& io) override {
    backward_of_inputs(io);
    clear(io, kLayerBias);  // the batch's mean takes it away
  }

 private:
  FoldedBatchNormalization op_;
};

// Evaluation and frozen statistics: y = x, or x clipped.
class PassKernel final : public Kernel {
 public:
  explicit PassKernel(const KernelContext& context) : epilogue_(context) {
    input_formats.assign(context.inputs.size(), Format::plain);
    input_formats[0] = context.formats[0];
    output_formats = {context.formats[0]};
    needs = is_view() ? Needs::nothing() : Needs::outputs();
  }
  std::string name() const override {
    return is_view() ? "view"
                     : epilogue_.suffix().substr(1) + ":" + std::string(kernels::isa_name());
  }
  bool is_view() const override { return epilogue_.empty(); }
  int gradient_is_output(std::size_t input) const override {
    return input == 0 && is_view() ? 0 : -1;
  }
  void forward(const Io& io) override {
    const View &x = io.input(0), &y = io.output(0);
    if (!is_view())
      kernels::finish(x.data, y.data, y.count, epilogue_.bounds(), nullptr);
    else if (x.data != y.data)
      std::ranges::copy(x.span(), y.data);
  }
  void backward(const GradIo& io) override {
    for (std::size_t i = 1; i < kInputs; ++i) clear(io, i);
    if (!io.wants(0)) return;
    const View &dy = io.output_grad(0), &dx = io.input_grad(0);
    if (!is_view())
      kernels::pass_between(dy.data, io.output(0).data, dx.data, dx.count,
                            kernels::passes(epilogue_.bounds()));
    else
      std::ranges::copy(dy.span(), dx.data);
  }

 private:
  Epilogue epilogue_;
};

}  // namespace

void FoldedBatchNormalization::visit(AttributeVisitor& v) {
  v("epsilon", epsilon);
  v("momentum", momentum);
  v("frozen", frozen);
}

std::vector<Shape> FoldedBatchNormalization::infer(std::span<const Shape> in) const {
  require_input_count(in, kInputs);
  require_epsilon(epsilon);
  require(in[0].rank() >= 2, "x must be [N, C, ...], got {}", in[0]);
  for (const Shape& shape : in.subspan(1))
    require(shape == Shape{in[0][1]}, "gamma, beta, statistics and bias must be [{}], got {}",
            in[0][1], shape);
  return {in[0]};
}

std::unique_ptr<Kernel> FoldedBatchNormalization::compile(const KernelContext& context) const {
  if (context.mode == Mode::train && !frozen) return std::make_unique<BatchKernel>(*this, context);
  return std::make_unique<PassKernel>(context);
}

}  // namespace rung
