#include "ops/common.h"
#include "ops/view_kernel.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// y = x / (1 - ratio) with probability 1 - ratio, else 0, in Mode::train; y = x in Mode::eval.
/// ONNX: Dropout, with the ratio as an attribute; Srivastava et al. 2014.
struct Dropout final : Op {
  float ratio = 0.5f;

  std::string_view type() const override { return "Dropout"; }
  void visit(AttributeVisitor& visitor) override { visitor("ratio", ratio); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    require(ratio >= 0.0f && ratio < 1.0f, "ratio must be in [0, 1), got {}", ratio);
    return {inputs[0]};
  }
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Dropout>(*this); }
  Traits traits() const override { return {.result = Result::input_in_order}; }
};

/// Runs in plain layout only, so that the draws do not depend on the layout policy. The workspace
/// holds one byte per element: kept or not.
class DropoutKernel final : public Kernel {
 public:
  DropoutKernel(float ratio, std::int64_t count) : ratio_(ratio), scale_(1.0f / (1.0f - ratio)) {
    input_formats = output_formats = {Format::plain};
    workspace = count;
  }
  std::string name() const override { return "dropout"; }

  void forward(const Io& io) override {
    const View &x = io.input(0), &y = io.output(0);
    std::uint8_t* kept = io.workspace<std::uint8_t>();
    const Rng base = io.rng();
    parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      Rng rng = base.split(static_cast<std::uint64_t>(begin));  // of the chunk, not of the thread
      for (std::int64_t i = begin; i < end; ++i) {
        kept[i] = !rng.bernoulli(ratio_);
        y.data[i] = kept[i] ? x.data[i] * scale_ : 0.0f;
      }
    });
  }

  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    const View &dy = io.output_grad(0), &dx = io.input_grad(0);
    const std::uint8_t* kept = io.workspace<std::uint8_t>();
    parallel_for(dx.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dx.data[i] = kept[i] ? dy.data[i] * scale_ : 0.0f;
    });
  }

 private:
  double ratio_;
  float scale_;
};

std::unique_ptr<Kernel> Dropout::compile(const KernelContext& context) const {
  if (context.mode == Mode::eval || ratio == 0.0f)
    return std::make_unique<ViewKernel>(context.formats[0]);
  return std::make_unique<DropoutKernel>(ratio, context.inputs[0].numel());
}

}  // namespace

std::unique_ptr<Op> make_dropout() { return std::make_unique<Dropout>(); }

Var nn::dropout(Var x, const DropoutOptions& options, std::string_view name) {
  auto op = std::make_unique<Dropout>();
  op->ratio = options.ratio;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
