#include "backend/onednn.h"
#include "core/check.h"
#include "ops/linear/exact.h"
#include "rung/core/parallel.h"
#include "rung/ops/ops.h"

namespace rung {
namespace {

class GemmKernel final : public Kernel {
 public:
  explicit GemmKernel(const KernelContext& context)
      : rows_(context.inputs[0][0]), in_(context.inputs[0][1]), out_(context.inputs[1][0]) {
    input_formats.assign(context.inputs.size(), Format::plain);
    output_formats = {Format::plain};
    needs = {.input_bits = (context.wants[1] ? 0b01u : 0u) | (context.wants[0] ? 0b10u : 0u),
             .output_bits = 0};
    flops_forward = 2.0 * static_cast<double>(rows_ * in_ * out_);
    flops_backward = flops_forward * (context.wants[0] + context.wants[1]);
  }

  std::string name() const override { return "sgemm"; }

  void forward(const Io& io) override {
    float* y = io.output(0).data;
    backend::gemm(false, true, rows_, out_, in_, io.input(0).data, io.input(1).data, y);
    if (io.input_count() < 3) return;
    const float* bias = io.input(2).data;
    for (std::int64_t n = 0; n < rows_; ++n)
      for (std::int64_t o = 0; o < out_; ++o) y[n * out_ + o] += bias[o];
  }

  void backward(const GradIo& io) override {
    const float* dy = io.output_grad(0).data;
    if (io.wants(0))
      backend::gemm(false, false, rows_, in_, out_, dy, io.input(1).data, io.input_grad(0).data);
    if (io.wants(1))
      backend::gemm(true, false, out_, in_, rows_, dy, io.input(0).data, io.input_grad(1).data);
    if (io.input_count() > 2 && io.wants(2)) {
      float* db = io.input_grad(2).data;
      parallel_for(out_, 256, [=, this](std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) {
          double sum = 0;
          for (std::int64_t n = 0; n < rows_; ++n) sum += dy[n * out_ + o];
          db[o] = static_cast<float>(sum);
        }
      });
    }
  }

 private:
  std::int64_t rows_, in_, out_;
};

}  // namespace

// ONNX writes y = x weight^T as a Gemm with transB = 1; no other form exists here.
void Gemm::visit(AttributeVisitor&) {}

std::vector<Shape> Gemm::infer(std::span<const Shape> in) const {
  require(in.size() == 2 || in.size() == 3, "takes x, weight and optionally bias, got {} inputs",
          in.size());
  require(in[0].rank() == 2, "x must be [N, I], got {} (flatten first)", in[0]);
  require(in[1].rank() == 2 && in[1][1] == in[0][1], "weight must be [O, I] with I = {}, got {}",
          in[0][1], in[1]);
  require(in.size() == 2 || in[2] == Shape{in[1][0]}, "bias must be [{}], got {}", in[1][0],
          in.size() == 3 ? in[2] : Shape{});
  return {Shape{in[0][0], in[1][0]}};
}

std::unique_ptr<Kernel> Gemm::compile(const KernelContext& context) const {
  if (context.takes_codes) return exact_kernel(context, *this);
  return std::make_unique<GemmKernel>(context);
}

}  // namespace rung
