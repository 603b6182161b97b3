#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/graph/op.h"

namespace rung {

/// Scales the images of x [N, C, H, W]. Either both scales are given, and an extent becomes
/// floor(extent * scale), or `sizes`. The modes have ONNX's names and meaning. ONNX: Resize, with
/// the entries of its inputs scales and sizes for H and W as attributes.
struct RUNG_API Resize final : Op {
  /// Or linear: bilinear, from the four pixels around; cubic: from the sixteen around (Keys 1981).
  std::string mode = "nearest";
  /// Where pixel i of the result lies in x: half_pixel, pytorch_half_pixel, align_corners,
  /// asymmetric or tf_half_pixel_for_nn.
  std::string coordinate_transformation_mode = "half_pixel";
  /// How mode nearest rounds that place: round_prefer_floor, round_prefer_ceil, floor or ceil.
  std::string nearest_mode = "round_prefer_floor";
  float scale_h = 0.0f, scale_w = 0.0f;  ///< 0: by sizes
  std::vector<std::int64_t> sizes;       ///< [H, W] of the result; empty: by the scales
  float cubic_coeff_a = -0.75f;          ///< of mode cubic: PyTorch's; others take -0.5
  bool exclude_outside = false;  ///< of mode cubic: pixels outside count nothing; else as the rim

  std::string_view type() const override { return "Resize"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Resize>(*this); }
  Traits traits() const override {
    return {.result = mode == "nearest" ? Result::some_of_input : Result::computed};
  }
};

namespace nn {

/// What upsample computes: nearest repeats pixels; bilinear and bicubic interpolate, with pixels
/// being squares whose centres it scales; bilinear_align_corners with pixels being points, the
/// outermost of which stay outermost (torch: align_corners=True).
enum class UpsampleMode { nearest, bilinear, bilinear_align_corners, bicubic };

struct UpsampleOptions {
  double scale = 0.0;                    ///< of both extents; 0: by sizes
  std::vector<std::int64_t> sizes = {};  ///< [H, W] of the result, if no scale is given
  UpsampleMode mode = UpsampleMode::nearest;
};
/// Adds x [N, C, H, W] with more (or fewer) pixels, a Resize. torch.nn.Upsample.
RUNG_API Var upsample(Var x, const UpsampleOptions& options, std::string_view name);

}  // namespace nn
}  // namespace rung
