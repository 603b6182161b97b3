#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/graph/op.h"

namespace rung {

/// Computes what the gradient of a Conv of the same attributes does: each pixel of x [N, I, H, W]
/// adds a multiple of weight [I, O / groups, KH, KW] to the result, `stride` pixels apart; plus
/// bias [O], if given. OH = (H - 1) stride - paddings + dilation (KH - 1) + 1 + output_padding.
/// With one axis x is [N, I, L], the weight [I, O / groups, K], and what is said about W is L's.
/// Inputs: x, weight, bias?. ONNX: ConvTranspose; torch.nn.functional.conv_transpose2d and 1d.
struct RUNG_API ConvTranspose final : Op {
  std::int64_t axes = 2;  ///< of the image: 1 or 2
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0, padding_w = 0;  ///< pixels that both sides of the result lose
  /// Pixels that bottom and right lose beyond those (fewer, if negative).
  std::int64_t padding_more_h = 0, padding_more_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;  ///< 1 = dense
  /// Pixels that bottom and right of the result gain, before they lose some; smaller than the
  /// stride, or not more than they lose.
  std::int64_t output_padding_h = 0, output_padding_w = 0;
  std::int64_t groups = 1;

  std::string_view type() const override { return "ConvTranspose"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b011); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<ConvTranspose>(*this); }
  Traits traits() const override {
    return {.weighted = Weighted{.output_axis = 1}, .first_values = FirstValues::uniform};
  }
};

namespace nn {

struct ConvTranspose2dOptions {
  std::int64_t out_channels = 0;
  std::int64_t kernel = 0;  ///< square
  std::int64_t stride = 1;
  std::int64_t padding = 0;         ///< pixels that all four sides of the result lose
  std::int64_t output_padding = 0;  ///< pixels that bottom and right gain
  std::int64_t dilation = 1;        ///< 1 = dense
  std::int64_t groups = 1;
  bool bias = true;
};
/// Adds `name`.weight [I, O / groups, K, K], `name`.bias [O] and a ConvTranspose:
/// [N, I, H, W] -> [N, O, OH, OW]. torch.nn.ConvTranspose2d.
RUNG_API Var conv_transpose2d(Var x, const ConvTranspose2dOptions& options, std::string_view name);

}  // namespace nn
}  // namespace rung
