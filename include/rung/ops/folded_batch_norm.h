#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/op.h"

// Batch norm folding while the batch norm is still being trained. A Conv (or Gemm) and the
// BatchNormalization behind it become
//
//   w' = FoldedWeight(weight, gamma, running_var)                    then w's quantizer
//   b' = FoldedBias(bias, gamma, beta, running_mean, running_var)    then b's quantizer, if any
//   y  = Conv(x, w', b')
//   z  = FoldedBatchNormalization(y, gamma, beta, running_mean, running_var, bias)
//
// so that the quantizer sees the weight that will be deployed while weight, gamma, beta and the
// statistics go on training. gamma and beta are the batch norm's weight and bias, and
// sigma = sqrt(running_var + epsilon), [O] each. PyTorch: torch.nn.intrinsic.qat.ConvBn2d (Jacob et
// al. 2018, section 3.2).

namespace rung {

/// y[o] = weight[o] * (gamma[o] / sigma[o]), the weight of the folded layer, in the float32
/// arithmetic of ptq::fold_all_batch_norms. Inputs: weight [O, ...], gamma, running_var. Gradients
/// go to weight and gamma; running_var is a buffer.
struct RUNG_API FoldedWeight final : Op {
  float epsilon = 1e-5f;  ///< the batch norm's

  std::string_view type() const override { return "FoldedWeight"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b1); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<FoldedWeight>(*this); }
};

/// y[o] = beta[o] + (bias[o] - running_mean[o]) * (gamma[o] / sigma[o]), the bias of the folded
/// layer, in the float32 arithmetic of ptq::fold_all_batch_norms. In Mode::train, unless `frozen`,
/// it is 0: FoldedBatchNormalization takes the batch's mean then. Inputs: bias [O] of the layer,
/// gamma, beta, running_mean, running_var.
struct RUNG_API FoldedBias final : Op {
  float epsilon = 1e-5f;
  bool frozen = false;  ///< use running statistics in training too; as its batch norm

  std::string_view type() const override { return "FoldedBias"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<FoldedBias>(*this); }
};

/// What is left of a batch norm behind a layer with FoldedWeight and FoldedBias. In Mode::eval, or
/// with `frozen`, y = x: the layer has done everything. In Mode::train it undoes the folding,
/// u = x * sigma / gamma + bias, and normalizes u [N, C, ...] by the batch, y = (u - mean) /
/// sqrt(var + epsilon) * gamma + beta, moving the running statistics as BatchNormalization does.
/// A channel with gamma = 0 cannot be undone: it passes beta, and its gamma and statistics stay
/// (PyTorch computes NaN). Inputs: x, gamma, beta, running_mean, running_var, bias of the layer.
struct RUNG_API FoldedBatchNormalization final : Op {
  float epsilon = 1e-5f;
  float momentum = 0.1f;  ///< PyTorch's: weight of the new batch
  bool frozen = false;    ///< use running statistics in training too

  std::string_view type() const override { return "FoldedBatchNormalization"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b00011); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override {
    return std::make_unique<FoldedBatchNormalization>(*this);
  }
  bool accepts(const Tails& tails, Mode mode) const override {
    return (mode == Mode::train && !frozen) ||
           (tails.addition == nullptr && tails.quantizer == nullptr);
  }
};

}  // namespace rung
