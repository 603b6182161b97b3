#include "io/onnx/export/export_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "io/onnx/export/export_node.h"

namespace rung::io {
namespace {

// ---- the ops whose attributes are not ONNX's

void write_batch_normalization(Export& to) {
  to.attributes.take<std::int64_t>("frozen");
  to.attributes.put("momentum", 1.0f - to.attributes.take<float>("momentum"));
  to.write();
}

void write_clip(Export& to) {
  for (const char* name : {"min", "max"}) {
    const float bound = to.attributes.take<float>(name);
    to.inputs.emplace_back();  // none: no bound
    if (std::isinf(bound)) continue;
    to.inputs.back() = to.name_of(name);
    to.writer.floats(to.inputs.back(), {}, {&bound, 1});
  }
  to.write();
}

void write_conv(Export& to) {
  const auto kernel = to.node.inputs()[1]->shape().dims().subspan(2);
  to.attributes.put("kernel_shape", Integers(kernel.begin(), kernel.end()));
  to.write();
}

void write_dropout(Export& to) {
  to.attributes.take<float>("ratio");
  to.write("Identity");
}

/// Adds nodes that compute a shape in which 0 stands for the batch size of `batch`, and returns the
/// result's name.
std::string write_shape(Export& to, const Integers& extents, const std::string& batch) {
  const std::string all = to.name_of("shape");
  const auto first_0 = std::ranges::find(extents, 0);
  if (first_0 == extents.end()) {
    to.writer.integers(all, extents);
    return all;
  }
  const std::string sizes = to.name_of("sizes"), size = to.name_of("batch"),
                    begin = to.name_of("begin"), end = to.name_of("end");
  to.writer.integers(begin, Integers{0});
  to.writer.integers(end, Integers{1});
  to.writer.node("Shape", sizes, {batch}, {sizes});
  to.writer.node("Slice", size, {sizes, begin, end}, {size});
  Strings parts;
  for (auto from = extents.begin(); from != extents.end();) {
    if (*from == 0) {
      parts.push_back(size);
      ++from;
      continue;
    }
    const auto next = std::find(from, extents.end(), 0);
    parts.push_back(to.name_of("extents"));
    to.writer.integers(parts.back(), Integers(from, next));
    from = next;
  }
  set_attribute(to.writer.node("Concat", all, parts, Strings{all}), "axis", std::int64_t{0});
  return all;
}

void write_expand(Export& to) {
  const auto extents = to.attributes.take<Integers>("shape");
  const std::string shape = write_shape(to, extents, to.inputs.back());
  to.inputs = {to.inputs[0], shape};
  to.write();
}

void write_gather(Export& to) {
  const auto indices = to.attributes.take<Integers>("indices");
  const auto shape = to.attributes.take<Integers>("indices_shape");
  to.inputs.push_back(to.name_of("indices"));
  to.writer.tensor(to.inputs.back(), onnx::TensorProto::INT64, Shape(shape),
                   bytes_of(std::span(indices)));
  to.write();
}

void write_gemm(Export& to) {
  to.attributes.put("transB", std::int64_t{1});
  to.write();
}

/// HardSwish came with opset 14; before, it is x * HardSigmoid(x).
void write_hard_swish(Export& to) {
  if (to.writer.opset() >= 14) return to.write();
  const std::string gate = to.name_of("gate");
  onnx::NodeProto& sigmoid = to.writer.node("HardSigmoid", gate, to.inputs, std::array{gate});
  set_attribute(sigmoid, "alpha", 1.0f / 6.0f);
  set_attribute(sigmoid, "beta", 0.5f);
  to.inputs.push_back(gate);
  to.write("Mul");
}

void write_pad(Export& to) {
  to.attribute_to_input("pads");
  const auto value = to.attributes.take<float>("value");
  to.inputs.push_back(to.name_of("value"));
  to.writer.floats(to.inputs.back(), {}, {&value, 1});
  to.write();
}

/// ONNX repeats the slopes as NumPy does: behind those of the channels come axes of extent 1, as
/// PyTorch writes it.
void write_prelu(Export& to) {
  const Shape &x = to.node.inputs()[0]->shape(), &slope = to.node.inputs()[1]->shape();
  if (slope.rank() == 1 && slope.numel() > 1 && x.rank() > 2) {
    const std::string name = to.name_of("slope"), axes = to.name_of("axes");
    Integers added;
    for (std::int64_t axis = 1; axis < x.rank() - 1; ++axis) added.push_back(axis);
    to.writer.integers(axes, added);
    to.writer.node("Unsqueeze", name, {to.inputs[1], axes}, {name});
    to.inputs[1] = name;
  }
  to.write();
}

/// The axes became an input in opset 18.
void write_reduce_mean(Export& to) {
  const auto axes = to.attributes.take<Integers>("axes");
  if (!axes.empty()) {
    to.attributes.put("axes", axes);
    if (to.writer.opset() >= 18) to.attribute_to_input("axes");
  }
  to.write();
}

/// Adds nodes that compute the sizes [N, C, H, W] of a Resize for any N, and returns the result's
/// name.
std::string write_sizes(Export& to, const Integers& sizes) {
  const std::string shape = to.name_of("shape"), front = to.name_of("front"),
                    pixels = to.name_of("pixels"), all = to.name_of("sizes");
  const std::string begin = to.name_of("begin"), end = to.name_of("end");
  to.writer.integers(begin, Integers{0});
  to.writer.integers(end, Integers{2});
  to.writer.integers(pixels, sizes);
  to.writer.node("Shape", shape, {to.inputs[0]}, {shape});
  to.writer.node("Slice", front, {shape, begin, end}, {front});
  set_attribute(to.writer.node("Concat", all, {front, pixels}, {all}), "axis", std::int64_t{0});
  return all;
}

/// ONNX has scales or sizes of all four axes.
void write_resize(Export& to) {
  const auto h = to.attributes.take<float>("scale_h"), w = to.attributes.take<float>("scale_w");
  const auto sizes = to.attributes.take<Integers>("sizes");
  to.inputs.emplace_back();  // roi
  if (sizes.empty()) {
    const std::array<float, 4> scales = {1.0f, 1.0f, h, w};
    to.inputs.push_back(to.name_of("scales"));
    to.writer.floats(to.inputs.back(), {4}, scales);
  } else {
    to.inputs.emplace_back();
    to.inputs.push_back(write_sizes(to, sizes));
  }
  to.write();
}

/// The first states stand behind the lengths of the sequences, which we do not have.
void write_recurrent(Export& to) {
  const Shape& recurrence = to.node.inputs()[2]->shape();
  const std::int64_t directions = recurrence[0], hidden = recurrence[2];
  to.attributes.put("hidden_size", hidden);
  if (to.inputs.size() > 4) to.inputs.insert(to.inputs.begin() + 4, "");
  if (to.node.type() == "RNN" && to.attributes.take<std::int64_t>("relu") != 0)
    to.attributes.put("activations", Strings(static_cast<std::size_t>(directions), "Relu"));
  to.write();
}

void write_axes(Export& to) {
  to.attribute_to_input("axes");
  to.write();
}

void write_transpose(Export& to) {
  const auto perm = to.attributes.take<Integers>("perm");
  if (!perm.empty()) to.attributes.put("perm", perm);  // none: reversed
  to.write();
}

void write_reshape(Export& to) {
  to.attribute_to_input("shape");
  to.write();
}

void write_where(Export& to) {
  input_to_truth(to, 0);
  to.write();
}

void refuse_simulated_fold(Export& to) {
  fail(
      "[{} {}] ONNX has no batch norm that is folded in simulation: export the sim with "
      "QuantizationSimModel::export_to, which folds it",
      to.node.type(), to.node.name());
}

using Write = void (*)(Export&);

/// Every op with an ONNX counterpart; nullptr if attributes and inputs are ONNX's.
constexpr std::array kOps = std::to_array<std::pair<std::string_view, Write>>({
    {"Add", nullptr},
    {"AveragePool", nullptr},
    {"BatchNormalization", write_batch_normalization},
    {"Clip", write_clip},
    {"Concat", nullptr},
    {"Conv", write_conv},
    {"ConvTranspose", write_conv},
    {"Div", nullptr},
    {"Dropout", write_dropout},
    {"Elu", nullptr},
    {"Expand", write_expand},
    {"Flatten", nullptr},
    {"FoldedBatchNormalization", refuse_simulated_fold},
    {"FoldedBias", refuse_simulated_fold},
    {"FoldedWeight", refuse_simulated_fold},
    {"GRU", write_recurrent},
    {"Gather", write_gather},
    {"Gemm", write_gemm},
    {"GlobalAveragePool", nullptr},
    {"GroupNormalization", nullptr},
    {"HardSigmoid", nullptr},
    {"HardSwish", write_hard_swish},
    {"Identity", nullptr},
    {"InstanceNormalization", nullptr},
    {"LSTM", write_recurrent},
    {"LayerNormalization", nullptr},
    {"LeakyRelu", nullptr},
    {"LogSoftmax", nullptr},
    {"MatMul", nullptr},
    {"MaxPool", nullptr},
    {"Mul", nullptr},
    {"PRelu", write_prelu},
    {"Pad", write_pad},
    {"RNN", write_recurrent},
    {"ReduceMean", write_reduce_mean},
    {"Relu", nullptr},
    {"Reshape", write_reshape},
    {"Resize", write_resize},
    {"Sigmoid", nullptr},
    {"Softmax", nullptr},
    {"Squeeze", write_axes},
    {"Sub", nullptr},
    {"Tanh", nullptr},
    {"Transpose", write_transpose},
    {"Unsqueeze", write_axes},
    {"Where", write_where},
});

/// The opsets in which ops came to ONNX later than what is written at the least.
constexpr std::array kOpsets = std::to_array<std::pair<std::string_view, int>>(
    {{"Gelu", 20}, {"GroupNormalization", 21}, {"LayerNormalization", 17}, {"Mish", 18}});

}  // namespace

void write_op(OnnxWriter& writer, Node& node, Strings inputs, const Strings& outputs) {
  Export to{writer, node, {}, std::move(inputs), outputs};
  node.op().visit(to.attributes);
  for (const auto& [type, write] : kOps)
    if (type == node.type()) return write != nullptr ? write(to) : to.write();
  if (write_family_member(to)) return;
  fail("[{} {}] cannot be exported: ONNX has no such op", node.type(), node.name());
}

int opset_of(const Node& node) {
  for (const auto& [type, opset] : kOpsets)
    if (type == node.type()) return opset;
  return 0;
}

}  // namespace rung::io
