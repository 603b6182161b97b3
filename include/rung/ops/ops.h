#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/op.h"

// The attributes of the ops that passes, exporters and tests look at. Each is implemented in the
// file of its name in src/ops; ops that nobody has to look into are declared there only.

namespace rung {

/// Convolves x [N, C, H, W] with weight [O, C / groups, KH, KW] and adds bias [O], if given. With
/// one axis x is [N, C, L], the weight [O, C / groups, K], and what is said about W is L's.
/// Inputs: x, weight, bias?. ONNX: Conv; torch.nn.functional.conv2d and conv1d.
struct RUNG_API Conv final : Op {
  std::int64_t axes = 2;  ///< of the image: 1 or 2
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0, padding_w = 0;  ///< zeros on both sides
  /// Zeros that bottom and right have beyond those (fewer, if negative).
  std::int64_t padding_more_h = 0, padding_more_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;  ///< 1 = dense, as in PyTorch
  std::int64_t groups = 1;

  std::string_view type() const override { return "Conv"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b011); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Conv>(*this); }
  Traits traits() const override {
    return {.weighted = Weighted{}, .first_values = FirstValues::image};
  }
  bool can_take_codes() const override { return true; }
  bool accepts(const Tails& tails, Mode mode) const override {
    return (mode == Mode::eval || tails.addition == nullptr) &&
           (tails.quantizer == nullptr || !tails.quantizer->learns);
  }
};

/// y = x weight^T + bias for x [N, I], weight [O, I], bias [O]. Inputs: x, weight, bias?.
/// ONNX: Gemm with transB = 1; torch.nn.Linear.
struct RUNG_API Gemm final : Op {
  std::string_view type() const override { return "Gemm"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b011); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Gemm>(*this); }
  Traits traits() const override {
    return {.weighted = Weighted{}, .first_values = FirstValues::matrix};
  }
  bool can_take_codes() const override { return true; }
};

/// Normalizes each channel of x [N, C, H, W]: y = (x - mean) / sqrt(var + epsilon) * weight + bias.
/// In Mode::train mean and (biased) var are the batch's, and the running statistics move by
/// `momentum` towards them (the running variance is unbiased, n / (n - 1)); in Mode::eval, or with
/// `frozen`, they are the running statistics. Inputs: x, weight, bias, running_mean, running_var,
/// all [C]. ONNX: BatchNormalization; torch.nn.BatchNorm2d (Ioffe and Szegedy 2015).
struct RUNG_API BatchNormalization final : Op {
  float epsilon = 1e-5f;
  float momentum = 0.1f;  ///< PyTorch's: weight of the new batch (ONNX's is 1 minus this)
  bool frozen = false;    ///< use running statistics in training too
  /// Run-time state, not saved: whatever the mode, normalize by the batch and replace the running
  /// statistics by its own (momentum 1). Changing it needs Graph::touch().
  bool estimating = false;

  std::string_view type() const override { return "BatchNormalization"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b00011); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<BatchNormalization>(*this); }
  Traits traits() const override { return {.first_values = FirstValues::statistics}; }
  bool accepts(const Tails& tails, Mode mode) const override {
    return mode == Mode::train || tails.addition == nullptr;
  }
};

/// y = max(x, 0). The gradient at 0 is 0, as in PyTorch. ONNX: Relu.
struct RUNG_API Relu final : Op {
  std::string_view type() const override { return "Relu"; }
  void visit(AttributeVisitor&) override {}
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::outputs(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Relu>(*this); }
  std::optional<Tail> tail() const override { return Tail{.kind = Tail::Kind::clip, .low = 0.0f}; }
};

/// y = a + b, an operand with extents of 1 being repeated as NumPy does. ONNX: Add.
struct RUNG_API Add final : Op {
  std::string_view type() const override { return "Add"; }
  void visit(AttributeVisitor&) override {}
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Add>(*this); }
  Traits traits() const override { return {.arithmetic = true}; }
  /// Operands of equal shapes only.
  std::optional<Tail> tail() const override { return Tail{.kind = Tail::Kind::addition}; }
  bool accepts(const Tails& tails, Mode) const override { return tails.addition == nullptr; }
};

/// Makes an op of this ONNX type with default attributes, for loaders; nullptr if unknown.
RUNG_API std::unique_ptr<Op> make_op(std::string_view type);
/// Lists the types make_op knows, sorted.
RUNG_API std::vector<std::string_view> op_types();

}  // namespace rung
