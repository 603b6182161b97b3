#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "io/onnx/import/importer.h"

// What Conv, ConvTranspose and the pools have in common: windows over one or two axes.

namespace rung::io::onnx_import {

/// The attributes of a window, for H and W. Of [N, C, L] data H is an axis of extent 1 put in.
struct Windows {
  std::array<std::int64_t, 2> kernel{1, 1}, strides{1, 1}, dilations{1, 1};
  std::array<std::int64_t, 4> pads{0, 0, 0, 0};  ///< top, left, bottom, right
  bool has_1d = false;

  bool is_symmetric() const { return pads[0] == pads[2] && pads[1] == pads[3]; }
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

/// Adds an axis of extent 1 to [N, C, L] data; others are returned as they are.
Value& with_two_axes(Importer& importer, const NodeReader& node, Value& x);
/// Adds the node's op on what with_two_axes() returned, and takes the axis away again.
Value& add_windowed(Importer& importer, const NodeReader& node, const Windows& windows,
                    std::unique_ptr<Op> op, const std::vector<Value*>& inputs);

}  // namespace rung::io::onnx_import
