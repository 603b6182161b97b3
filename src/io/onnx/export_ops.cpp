#include "io/onnx/export_ops.h"

#include <array>
#include <cmath>
#include <map>
#include <utility>
#include <variant>

#include "core/format.h"
#include "rung/ops/ops.h"

namespace rung::io {
namespace {

using Strings = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;
using Attribute = std::variant<std::int64_t, float, std::string, Integers>;

/// Collects what Op::visit shows, by ONNX name.
class Attributes final : public AttributeVisitor {
 public:
  void operator()(std::string_view name, std::int64_t& value) override { put(name, value); }
  void operator()(std::string_view name, double& value) override {
    put(name, static_cast<float>(value));
  }
  void operator()(std::string_view name, float& value) override { put(name, value); }
  void operator()(std::string_view name, bool& value) override {
    put(name, static_cast<std::int64_t>(value));
  }
  void operator()(std::string_view name, std::string& value) override { put(name, value); }
  void operator()(std::string_view name, Integers& value) override { put(name, value); }

  /// Removes one and returns it.
  template <typename T>
  T take(const std::string& name) {
    const auto found = map_.extract(name);
    return std::get<T>(found.mapped());
  }
  void put(std::string_view name, Attribute value) { map_[std::string(name)] = std::move(value); }
  void write(onnx::NodeProto& node) const {
    for (const auto& entry : map_)
      std::visit([&](const auto& value) { set_attribute(node, entry.first, value); },
                 entry.second);
  }

 private:
  std::map<std::string, Attribute> map_;
};

/// One node on its way into the file.
struct Export {
  OnnxWriter& writer;
  Node& node;
  Attributes attributes;
  Strings inputs;
  const Strings& outputs;

  void write(std::string_view type) {
    attributes.write(writer.node(type, node.name(), inputs, outputs));
  }
  void write() { write(node.type()); }
  /// Returns the name of a new tensor that belongs to the node.
  std::string name_of(std::string_view what) {
    return writer.fresh_name(fmt::format("{}.{}", node.name(), what));
  }
  /// Turns an attribute into the next input.
  void attribute_to_input(const std::string& name) {
    inputs.push_back(name_of(name));
    writer.integers(inputs.back(), attributes.take<Integers>(name));
  }
};

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
    {"Flatten", nullptr},
    {"FoldedBatchNormalization", refuse_simulated_fold},
    {"FoldedBias", refuse_simulated_fold},
    {"FoldedWeight", refuse_simulated_fold},
    {"Gemm", write_gemm},
    {"GlobalAveragePool", nullptr},
    {"HardSigmoid", nullptr},
    {"HardSwish", write_hard_swish},
    {"Identity", nullptr},
    {"LeakyRelu", nullptr},
    {"LogSoftmax", nullptr},
    {"MatMul", nullptr},
    {"MaxPool", nullptr},
    {"Mul", nullptr},
    {"Pad", write_pad},
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
});

}  // namespace

void write_op(OnnxWriter& writer, Node& node, Strings inputs, const Strings& outputs) {
  for (const auto& [type, write] : kOps) {
    if (type != node.type()) continue;
    Export to{writer, node, {}, std::move(inputs), outputs};
    node.op().visit(to.attributes);
    return write != nullptr ? write(to) : to.write();
  }
  fail("[{} {}] cannot be exported: ONNX has no such op", node.type(), node.name());
}

}  // namespace rung::io
