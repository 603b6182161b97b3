// Conv and ConvTranspose.

#include <algorithm>
#include <utility>

#include "core/join.h"
#include "io/files/names.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/import/windows.h"
#include "io/onnx/ops/rule.h"
#include "io/onnx/ops/volume.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/ops.h"

namespace rung::io::onnx_ops {
namespace {

Shape tensor_shape(Importer& importer, const std::string& tensor) {
  return importer.is_constant(tensor) ? importer.constant(tensor)->shape
                                      : importer.value(tensor).shape();
}

/// Reads the windows after checking the weight.
Windows windows_of(Importer& importer, const NodeReader& node, const Shape& data) {
  const Shape weight = tensor_shape(importer, node.input(1));
  require(weight.rank() == data.rank(), "x is {}, but the weight {}", data, weight);
  Integers kernel;
  for (std::int64_t i = 2; i < weight.rank(); ++i) kernel.push_back(weight[i]);
  return read_windows(node, data, kernel);
}

std::vector<Value*> inputs_of(Importer& importer, const NodeReader& node, Value& x) {
  std::vector<Value*> inputs = {&x, &importer.parameter(node.input(1), Role::weight)};
  if (node.has_input(2)) inputs.push_back(&importer.parameter(node.input(2), Role::bias));
  return inputs;
}

/// What a ConvTranspose asks for beside its windows.
class TransposedSides {
 public:
  TransposedSides(const NodeReader& node, const Shape& data)
      : node_(node), data_(data), axes_(static_cast<std::size_t>(data.rank() - 2)) {
    const Integers more = node.integers("output_padding", Integers(axes_, 0));
    require(more.size() == axes_, "output_padding must have {} entries", axes_);
    for (std::size_t i = 0; i < axes_; ++i) {
      require(more[i] >= 0 && more[i] <= kMaxExtent, "has an output_padding of {}", more[i]);
      output_padding[i + 2 - axes_] = more[i];
    }
  }

  /// Turns output_shape, and auto_pad, which follows from the result's size here, into pads.
  void apply(Windows& windows) {
    const std::string automatic = node_.text("auto_pad", "NOTSET");
    Integers sizes = node_.integers("output_shape");
    if (automatic != "NOTSET" && automatic != "VALID" && sizes.empty())
      for (std::size_t i = 0; i < axes_; ++i)
        sizes.push_back(data_.dims()[i + 2] * windows.strides[i + 2 - axes_]);
    if (sizes.empty()) return;
    require(sizes.size() >= axes_, "output_shape must have {} entries", axes_);
    for (std::size_t i = 0; i < axes_; ++i) {
      const std::size_t at = i + 2 - axes_;
      const std::int64_t size = sizes[sizes.size() - axes_ + i];
      require(size > 0 && size <= kMaxExtent, "output_shape [{}] is not possible", join(sizes));
      const std::int64_t full = (data_.dims()[i + 2] - 1) * windows.strides[at] +
                                (windows.kernel[at] - 1) * windows.dilations[at] + 1 +
                                output_padding[at];
      const std::int64_t all = full - size, less = all / 2;
      windows.pads[at] = all < 0 ? 0 : automatic == "SAME_UPPER" ? less : all - less;
      windows.pads[at + 2] = all < 0 ? 0 : all - windows.pads[at];
      // Pixels beyond what is reached are all at the end.
      if (all < 0) output_padding[at] -= all;
    }
  }

  std::array<std::int64_t, 2> output_padding{0, 0};

 private:
  const NodeReader& node_;
  const Shape& data_;
  std::size_t axes_;
};

/// Makes a result with more pixels at the end than a ConvTranspose has: they are zero, so there
/// must be no bias that they would have, too.
void add_enlarged(Importer& importer, const NodeReader& node, std::unique_ptr<ConvTranspose> op,
                  const std::vector<Value*>& inputs) {
  require(inputs.size() == 2,
          "makes a result larger than its pixels reach, with a bias: that is not imported");
  const std::int64_t h = std::exchange(op->output_padding_h, 0),
                     w = std::exchange(op->output_padding_w, 0);
  const Integers pads =
      op->axes == 1 ? Integers{0, 0, 0, 0, 0, w} : Integers{0, 0, 0, 0, 0, 0, h, w};
  Value& reached = importer.add_step(node, "reached", std::move(op), inputs);
  importer.add(node, make_op("Pad", {{"pads", pads}}), {&reached});
}

void read_conv(Importer& importer, const NodeReader& node) {
  if (importer.value(node.input(0)).shape().rank() == 5) return read_volume_conv(importer, node);
  Value& x = importer.value(node.input(0));
  auto op = std::make_unique<Conv>();
  windows_of(importer, node, x.shape()).set(*op);
  op->groups = node.integer("group", 1);
  importer.add(node, std::move(op), inputs_of(importer, node, x));
}

void read_conv_transpose(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  Windows windows = windows_of(importer, node, x.shape());
  TransposedSides sides(node, x.shape());
  sides.apply(windows);
  auto op = std::make_unique<ConvTranspose>();
  windows.set(*op);
  op->groups = node.integer("group", 1);
  op->output_padding_h = sides.output_padding[0], op->output_padding_w = sides.output_padding[1];
  const std::vector<Value*> inputs = inputs_of(importer, node, x);
  bool fits = true;
  for (const std::size_t i : {0u, 1u})
    fits = fits && (sides.output_padding[i] < windows.strides[i] ||
                    sides.output_padding[i] <= windows.pads[i + 2]);
  if (fits)
    importer.add(node, std::move(op), inputs);
  else
    add_enlarged(importer, node, std::move(op), inputs);
}

void write_conv(Export& to) {
  const auto kernel = to.node.inputs()[1]->shape().dims().subspan(2);
  to.attributes.put("kernel_shape", Integers(kernel.begin(), kernel.end()));
  to.write();
}

}  // namespace

std::vector<OnnxRule> conv_rules() {
  return {
      {.type = "Conv", .read = read_conv, .write = write_conv},
      {.type = "ConvTranspose", .read = read_conv_transpose, .write = write_conv},
  };
}

}  // namespace rung::io::onnx_ops
