#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "io/onnx/import/importer.h"

// What Conv, ConvTranspose and the pools have in common: windows over one or two axes.

namespace rung::io::onnx_import {

/// The attributes of a window, for H and W. Of [N, C, L] data W is L, and H is 1.
struct Windows {
  std::int64_t axes = 2;  ///< of the images: 1 or 2
  std::array<std::int64_t, 2> kernel{1, 1}, strides{1, 1}, dilations{1, 1};
  std::array<std::int64_t, 4> pads{0, 0, 0, 0};  ///< top, left, bottom, right

  /// Returns an attribute of two (of four) entries as ONNX has it, with an entry per axis (and
  /// side).
  std::vector<std::int64_t> list(const std::array<std::int64_t, 2>& pair) const;
  std::vector<std::int64_t> list(const std::array<std::int64_t, 4>& sides) const;
  /// Sets the attributes of a Conv or ConvTranspose.
  template <typename T>
  void set(T& op) const {
    op.axes = axes;
    op.stride_h = strides[0], op.stride_w = strides[1];
    op.dilation_h = dilations[0], op.dilation_w = dilations[1];
    op.padding_h = pads[0], op.padding_w = pads[1];
    op.padding_more_h = pads[2] - pads[0], op.padding_more_w = pads[3] - pads[1];
  }
};

/// The same, as ONNX has it: an entry per axis, of pads one per axis and side.
struct WindowLists {
  std::vector<std::int64_t> kernel, strides, dilations, pads;
};

/// Reads them for any number of spatial axes.
WindowLists read_window_lists(const NodeReader& node, const Shape& data,
                              const std::vector<std::int64_t>& kernel);

/// Reads kernel_shape (or takes `kernel`, the extents of a weight), strides, dilations, pads and
/// auto_pad, for data of this shape. Throws Error for three or more spatial axes.
Windows read_windows(const NodeReader& node, const Shape& data,
                     const std::vector<std::int64_t>& kernel);

}  // namespace rung::io::onnx_import
