#include "io/onnx/export/export_writer.h"

#include <bit>
#include <utility>

#include "core/check.h"

namespace rung::io {

static_assert(std::endian::native == std::endian::little, "ONNX files are little-endian");

namespace {

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, std::string_view name,
                                    onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(type);
  return attribute;
}

}  // namespace

OnnxWriter::OnnxWriter(onnx::GraphProto& proto, const Graph& graph, int opset, OnnxCodes codes)
    : proto_(proto), opset_(opset), codes_(codes) {
  for (const Value* value : graph.values()) names_.insert(value->name());
  for (const Node* node : graph.nodes()) names_.insert(node->name());
}

std::string OnnxWriter::fresh_name(std::string name) {
  std::string candidate = name;
  for (int i = 1; !names_.insert(candidate).second; ++i) candidate = fmt::format("{}_{}", name, i);
  return candidate;
}

onnx::NodeProto& OnnxWriter::node(std::string_view type, const std::string& name,
                                  std::span<const std::string> inputs,
                                  std::span<const std::string> outputs) {
  onnx::NodeProto& node = *proto_.add_node();
  node.set_op_type(std::string(type));
  node.set_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  return node;
}

void OnnxWriter::tensor(const std::string& name, int data_type, const Shape& shape,
                        std::string bytes) {
  onnx::TensorProto& tensor = *proto_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(data_type);
  for (const std::int64_t extent : shape.dims()) tensor.add_dims(extent);
  tensor.set_raw_data(std::move(bytes));
}

void OnnxWriter::floats(const std::string& name, const Shape& shape,
                        std::span<const float> values) {
  tensor(name, onnx::TensorProto::FLOAT, shape, bytes_of(values));
}

void OnnxWriter::integers(const std::string& name, std::span<const std::int64_t> values) {
  tensor(name, onnx::TensorProto::INT64, Shape{static_cast<std::int64_t>(values.size())},
         bytes_of(values));
}

void set_attribute(onnx::NodeProto& node, std::string_view name, std::int64_t value) {
  add_attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

void set_attribute(onnx::NodeProto& node, std::string_view name, float value) {
  add_attribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}

void set_attribute(onnx::NodeProto& node, std::string_view name, std::string_view value) {
  add_attribute(node, name, onnx::AttributeProto::STRING).set_s(std::string(value));
}

void set_attribute(onnx::NodeProto& node, std::string_view name,
                   std::span<const std::int64_t> values) {
  onnx::AttributeProto& attribute = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

void set_attribute(onnx::NodeProto& node, std::string_view name,
                   std::span<const std::string> texts) {
  onnx::AttributeProto& attribute = add_attribute(node, name, onnx::AttributeProto::STRINGS);
  for (const std::string& text : texts) attribute.add_strings(text);
}

}  // namespace rung::io
