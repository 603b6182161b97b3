#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "rung/core/shape.h"
#include "rung/graph/kernel.h"

// Ops on images of one axis, [N, C, L], or two, [N, C, H, W]. Kernels see two: of one, H is 1.

namespace rung {

/// Shows attributes that have an entry per axis, as ONNX's lists: [2] or [2, 2]. What a loader sets
/// says how many axes there are.
class AxesVisitor {
 public:
  AxesVisitor(AttributeVisitor& visitor, std::int64_t& axes) : visitor_(visitor), axes_(axes) {}

  void operator()(std::string_view name, std::int64_t& h, std::int64_t& w) {
    std::vector<std::int64_t> list = axes_ == 1 ? std::vector{w} : std::vector{h, w};
    show(name, list, 1);
    if (axes_ == 2) h = list[0];
    w = list.back();
  }

  /// Pads: top, left, bottom, right; or left, right.
  void pads(std::int64_t& top, std::int64_t& left, std::int64_t& bottom, std::int64_t& right) {
    std::vector<std::int64_t> list =
        axes_ == 1 ? std::vector{left, right} : std::vector{top, left, bottom, right};
    show("pads", list, 2);
    const auto axes = static_cast<std::size_t>(axes_);
    if (axes_ == 2) top = list[0], bottom = list[2];
    left = list[axes - 1];
    right = list[2 * axes - 1];
  }

  /// What Conv and ConvTranspose have in common: strides, pads and dilations. An op keeps how much
  /// more there is at the bottom and on the right than at the top and on the left.
  template <typename T>
  void window(T& op) {
    (*this)("strides", op.stride_h, op.stride_w);
    std::int64_t bottom = op.padding_h + op.padding_more_h;
    std::int64_t right = op.padding_w + op.padding_more_w;
    pads(op.padding_h, op.padding_w, bottom, right);
    op.padding_more_h = bottom - op.padding_h;
    op.padding_more_w = right - op.padding_w;
    (*this)("dilations", op.dilation_h, op.dilation_w);
  }

 private:
  void show(std::string_view name, std::vector<std::int64_t>& list, std::size_t each) {
    const auto axes = static_cast<std::size_t>(axes_);
    visitor_(name, list);
    if (list.size() == each) axes_ = 1;
    require(list.size() == each || list.size() == axes * each, "{} must have {} entries, got {}",
            name, axes * each, list.size());
  }

  AttributeVisitor& visitor_;
  std::int64_t& axes_;
};

/// Returns the extents [N, C, H, W]; of a shape [N, C, L] they are [N, C, 1, L].
inline std::array<std::int64_t, 4> image_extents(const Shape& shape) {
  if (shape.rank() == 3) return {shape[0], shape[1], 1, shape[2]};
  return {shape[0], shape[1], shape[2], shape[3]};
}

/// Throws Error unless stride, dilation and paddings of a Conv or ConvTranspose are possible.
template <typename T>
void require_axes(const T& op) {
  require(op.stride_h > 0 && op.stride_w > 0 && op.dilation_h > 0 && op.dilation_w > 0 &&
              op.padding_h >= 0 && op.padding_w >= 0 && op.padding_h + op.padding_more_h >= 0 &&
              op.padding_w + op.padding_more_w >= 0,
          "stride and dilation must be at least 1 and padding at least 0");
  require(op.axes == 2 || (op.axes == 1 && op.stride_h == 1 && op.dilation_h == 1 &&
                           op.padding_h == 0 && op.padding_more_h == 0),
          "has {} axes, and stride, dilation or padding of another number", op.axes);
}

/// Returns the shape of an image of so many axes.
inline Shape image_shape(std::int64_t axes, std::int64_t images, std::int64_t channels,
                         std::int64_t h, std::int64_t w) {
  return axes == 1 ? Shape{images, channels, w} : Shape{images, channels, h, w};
}

}  // namespace rung
