#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/op.h"

namespace rung {

/// The window that MaxPool and AveragePool slide over the pixels of each channel.
struct RUNG_API PoolWindow {
  std::int64_t axes = 2;  ///< of the image; 1: x is [N, C, L], and what is said about W is L's
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  /// Pixels around the image; fewer than the window reaches over.
  std::int64_t padding_top = 0, padding_left = 0, padding_bottom = 0, padding_right = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;  ///< 1 = dense; MaxPool only
  /// Also a last window that sticks out of the padding counts, unless it starts beyond the image
  /// and the padding in front of it.
  bool ceil_mode = false;

  /// Shows the attributes kernel_shape, strides, pads and ceil_mode of ONNX.
  void visit(AttributeVisitor& visitor);
  /// Returns [N, C, OH, OW] with OH = (H + paddings - dilation (kernel - 1) - 1) / stride + 1,
  /// rounded down, or up in ceil_mode ([N, C, OL] of [N, C, L]); throws Error if `input` has not
  /// that many axes or the window does not fit.
  Shape output(const Shape& input) const;
};

/// Takes the largest value of each window of x [N, C, H, W] or [N, C, L]; padding never wins. The
/// gradient goes to the first of equal values, and NaN wins, as in PyTorch. ONNX: MaxPool;
/// torch.nn.MaxPool2d and 1d.
struct RUNG_API MaxPool final : Op {
  PoolWindow window;

  std::string_view type() const override { return "MaxPool"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }  // the workspace has it all
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<MaxPool>(*this); }
  Traits traits() const override { return {.result = Result::some_of_input}; }
};

/// Averages each window of x [N, C, H, W] or [N, C, L]. ONNX: AveragePool; torch.nn.AvgPool2d and
/// 1d.
struct RUNG_API AveragePool final : Op {
  PoolWindow window;
  /// Divide by the whole window even where it covers padding; what sticks out of the padding never
  /// counts.
  bool count_include_pad = true;

  std::string_view type() const override { return "AveragePool"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<AveragePool>(*this); }
};

/// Averages all pixels of each channel: [N, C, H, W] -> [N, C, 1, 1], and so for one axis or more.
/// ONNX: GlobalAveragePool; torch.nn.AdaptiveAvgPool2d(1).
struct RUNG_API GlobalAveragePool final : Op {
  std::string_view type() const override { return "GlobalAveragePool"; }
  void visit(AttributeVisitor&) override {}
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<GlobalAveragePool>(*this); }
};

}  // namespace rung
