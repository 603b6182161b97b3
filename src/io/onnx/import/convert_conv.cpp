// Conv and ConvTranspose.

#include <algorithm>

#include "io/onnx/import/convert.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/import/windows.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/ops.h"

namespace rung::io::onnx_import {
namespace {

using Ints = std::vector<std::int64_t>;

Shape tensor_shape(Importer& importer, const std::string& tensor) {
  return importer.is_constant(tensor) ? importer.constant(tensor)->shape
                                      : importer.value(tensor).shape();
}

/// Returns the weight; that of a layer on [N, C, L] data gets an axis of extent 1.
Value& weight_of(Importer& importer, const NodeReader& node, const Windows& windows) {
  const std::string& name = node.input(1);
  if (!windows.has_1d) return importer.parameter(name, Role::weight);
  if (!importer.is_constant(name)) return with_two_axes(importer, node, importer.value(name));
  return importer.parameter(name, Role::weight, "2d", [](const Tensor& weight) {
    const Shape& shape = weight.shape();
    return weight.reshape(Shape{shape[0], shape[1], 1, shape[2]});
  });
}

/// Reads the windows after checking the weight.
Windows windows_of(Importer& importer, const NodeReader& node, const Shape& data) {
  const Shape weight = tensor_shape(importer, node.input(1));
  require(weight.rank() == data.rank(), "x is {}, but the weight {}", data, weight);
  Ints kernel;
  for (std::int64_t i = 2; i < weight.rank(); ++i) kernel.push_back(weight[i]);
  return read_windows(node, data, kernel);
}

std::vector<Value*> inputs_of(Importer& importer, const NodeReader& node, const Windows& windows,
                              Value& x) {
  std::vector<Value*> inputs = {&x, &weight_of(importer, node, windows)};
  if (node.has_input(2)) inputs.push_back(&importer.parameter(node.input(2), Role::bias));
  return inputs;
}

}  // namespace

void convert_conv(Importer& importer, const NodeReader& node) {
  if (importer.value(node.input(0)).shape().rank() == 5)
    return convert_volume_conv(importer, node);
  Value* x = &importer.value(node.input(0));
  const Windows windows = windows_of(importer, node, x->shape());
  x = &with_two_axes(importer, node, *x);
  auto op = std::make_unique<Conv>();
  op->stride_h = windows.strides[0], op->stride_w = windows.strides[1];
  op->dilation_h = windows.dilations[0], op->dilation_w = windows.dilations[1];
  op->groups = node.integer("group", 1);
  if (windows.is_symmetric()) {
    op->padding_h = windows.pads[0], op->padding_w = windows.pads[1];
  } else {
    const auto& [top, left, bottom, right] = windows.pads;
    x = &importer.add_step(
        node, "pad", make_op("Pad", {{"pads", Ints{0, 0, top, left, 0, 0, bottom, right}}}), {x});
  }
  add_windowed(importer, node, windows, std::move(op), inputs_of(importer, node, windows, *x));
}

void convert_conv_transpose(Importer& importer, const NodeReader& node) {
  Value* x = &importer.value(node.input(0));
  const Shape data = x->shape();
  // auto_pad means something else here than in read_windows: it follows from the result's size.
  const std::string automatic = node.text("auto_pad", "NOTSET");
  Windows windows = windows_of(importer, node, data);
  const auto axes = static_cast<std::size_t>(data.rank() - 2);
  const Ints more = node.integers("output_padding", Ints(axes, 0));
  Ints sizes = node.integers("output_shape");
  require(more.size() == axes, "output_padding must have {} entries", axes);
  std::array<std::int64_t, 2> output_padding{0, 0};
  for (std::size_t i = 0; i < axes; ++i) output_padding[i + 2 - axes] = more[i];
  if (automatic != "NOTSET" && automatic != "VALID" && sizes.empty())
    for (std::size_t i = 0; i < axes; ++i)
      sizes.push_back(data.dims()[i + 2] * windows.strides[i + 2 - axes]);
  if (!sizes.empty()) {
    require(sizes.size() >= axes, "output_shape must have {} entries", axes);
    for (std::size_t i = 0; i < axes; ++i) {
      const std::size_t at = i + 2 - axes;
      const std::int64_t size = sizes[sizes.size() - axes + i];
      const std::int64_t full = (data.dims()[i + 2] - 1) * windows.strides[at] +
                                (windows.kernel[at] - 1) * windows.dilations[at] + 1 +
                                output_padding[at];
      const std::int64_t all = full - size;
      require(size > 0 && size <= kMaxExtent, "output_shape [{}] is not possible",
              fmt::join(sizes, ", "));
      // Pixels beyond what is reached are all at the end.
      const std::int64_t less = all / 2;
      windows.pads[at] = all < 0 ? 0 : automatic == "SAME_UPPER" ? less : all - less;
      windows.pads[at + 2] = all - windows.pads[at];
    }
  }
  x = &with_two_axes(importer, node, *x);
  auto op = std::make_unique<ConvTranspose>();
  op->stride_h = windows.strides[0], op->stride_w = windows.strides[1];
  op->dilation_h = windows.dilations[0], op->dilation_w = windows.dilations[1];
  op->groups = node.integer("group", 1);
  op->output_padding_h = output_padding[0], op->output_padding_w = output_padding[1];
  const auto least = std::ranges::min(windows.pads);
  const bool fits = windows.is_symmetric() && least >= 0 && output_padding[0] < op->stride_h &&
                    output_padding[1] < op->stride_w;
  std::vector<Value*> inputs = inputs_of(importer, node, windows, *x);
  if (fits) {
    op->padding_h = windows.pads[0], op->padding_w = windows.pads[1];
    add_windowed(importer, node, windows, std::move(op), inputs);
    return;
  }
  // Sides that lose (or gain) different numbers of pixels: all are made, then cut. The bias comes
  // last, since pixels that are gained have it, too.
  require(least >= 0 || inputs.size() == 2,
          "makes a result larger than its pixels reach, with a bias: that is not imported");
  op->output_padding_h = op->output_padding_w = 0;
  const auto& [top, left, bottom, right] = windows.pads;
  Value& all = importer.add_step(node, "full", std::move(op), inputs);
  require(inputs.size() == 2 || (output_padding[0] == 0 && output_padding[1] == 0) ||
              (bottom >= output_padding[0] && right >= output_padding[1]),
          "has an output_padding beyond its pads, with a bias: that is not imported");
  add_windowed(importer, node, windows,
               make_op("Pad", {{"pads", Ints{0, 0, -top, -left, 0, 0, output_padding[0] - bottom,
                                             output_padding[1] - right}}}),
               {&all});
}

}  // namespace rung::io::onnx_import
