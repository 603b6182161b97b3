// Operators that work element by element, and BatchNormalization.

#include <cmath>

#include "io/onnx/import/convert.h"
#include "io/onnx/import/make_op.h"
#include "rung/ops/ops.h"

namespace rung::io::onnx_import {

void convert_unary(Importer& importer, const NodeReader& node) {
  std::map<std::string, AttributeValue, std::less<>> attributes;
  const std::string& type = node.type();
  if (type == "Relu" && importer.quantized(node.input(0)) != nullptr)
    return clip_codes(importer, node, node.input(0), 0, kMaxExtent);
  if (type == "LeakyRelu") attributes["alpha"] = node.number("alpha", 0.01f);
  if (type == "Elu") attributes["alpha"] = node.number("alpha", 1.0f);
  if (type == "HardSigmoid") {
    attributes["alpha"] = node.number("alpha", 0.2f);
    attributes["beta"] = node.number("beta", 0.5f);
  }
  importer.add(node, make_op(type, std::move(attributes)), {&importer.value(node.input(0))});
}

namespace {

/// True for [O], [1, O], [1, 1, O], ...
bool is_vector(const Shape& shape) {
  return shape.rank() > 0 && shape.numel() == shape[shape.rank() - 1];
}

}  // namespace

void convert_arithmetic(Importer& importer, const NodeReader& node) {
  std::vector<Value*> inputs;
  for (const std::size_t i : {0u, 1u}) {
    const std::string &own = node.input(i), &other = node.input(1 - i);
    // What is added to a product of matrices is the bias of that layer; other constants are not
    // trained.
    const bool is_bias = node.type() == "Add" && importer.is_constant(own) &&
                         !importer.is_constant(other) &&
                         importer.value(other).producer() != nullptr &&
                         importer.value(other).producer()->type() == "MatMul" &&
                         is_vector(importer.constant(own)->shape);
    inputs.push_back(&importer.parameter(own, is_bias ? Role::bias : Role::buffer));
  }
  importer.add(node, make_op(node.type()), inputs);
}

void convert_sum(Importer& importer, const NodeReader& node) {
  if (node.input_count() == 1) {
    convert_identity(importer, node);
    return;
  }
  Value* sum = &importer.value(node.input(0));
  for (std::size_t i = 1; i + 1 < node.input_count(); ++i)
    sum = &importer.add_step(node, "sum", make_op("Add"), {sum, &importer.value(node.input(i))});
  importer.add(node, make_op("Add"), {sum, &importer.value(node.input(node.input_count() - 1))});
}

void convert_dropout(Importer& importer, const NodeReader& node) {
  float ratio = 0.5f;
  if (node.opset() < 12) {
    ratio = node.number("ratio", ratio);
  } else {
    node.ignore("seed");
    if (node.has_input(1)) ratio = static_cast<float>(importer.constant(node.input(1))->scalar());
    // Whether it drops is up to the executor's mode, not to the file.
    if (node.has_input(2)) (void)importer.constant(node.input(2));
  }
  importer.add(node, make_op("Dropout", {{"ratio", ratio}}), {&importer.value(node.input(0))});
}

namespace {

/// ONNX tells the weight of the old statistics. 1 - float(0.9) is 0.10000002: the decimal number
/// that the exporter started from is taken where there is one within float32's error.
float momentum_of(float weight_of_old) {
  const double exact = 1.0 - double{weight_of_old};
  const double decimal = std::round(exact * 1e6) / 1e6;
  return static_cast<float>(std::abs(exact - decimal) < 1e-7 ? decimal : exact);
}

}  // namespace

void convert_batch_normalization(Importer& importer, const NodeReader& node) {
  auto op = std::make_unique<BatchNormalization>();
  op->epsilon = node.number("epsilon", 1e-5f);
  op->momentum = momentum_of(node.number("momentum", 0.9f));
  node.ignore("training_mode");  // up to the executor's mode
  require(node.integer("spatial", 1) == 1, "normalizes each pixel apart, which is not imported");
  std::vector<Value*> inputs = {&importer.value(node.input(0))};
  for (const std::size_t i : {1u, 2u})
    inputs.push_back(&importer.parameter(node.input(i), Role::norm));
  for (const std::size_t i : {3u, 4u})
    inputs.push_back(&importer.parameter(node.input(i), Role::buffer));
  importer.add(node, std::move(op), inputs);
}

void convert_cast(Importer& importer, const NodeReader& node) {
  const auto type = static_cast<std::int32_t>(node.integer("to", 0));
  if (type == ::onnx::TensorProto::BOOL) {  // true is what is not 0
    Value& is_false =
        importer.add_step(node, "false", make_op("Not"), {&importer.value(node.input(0))});
    node.ignore("saturate");
    importer.add(node, make_op("Not"), {&is_false});
    return;
  }
  require(is_float(type), "casts a tensor that is no constant to {}", type_name(type));
  node.ignore("saturate");
  convert_identity(importer, node);  // everything is float32
}

void convert_identity(Importer& importer, const NodeReader& node) {
  if (!importer.is_output(node.output())) {
    importer.set_alias(node.output(), node.input(0));
    return;
  }
  importer.add(node, make_op("Identity"), {&importer.value(node.input(0))});
}

}  // namespace rung::io::onnx_import
