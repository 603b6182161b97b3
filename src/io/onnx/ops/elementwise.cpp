// Operators that work element by element: activations, arithmetic, functions, choices.

#include <algorithm>
#include <array>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/codes.h"
#include "io/onnx/ops/rule.h"
#include "ops/elementwise/families.h"

namespace rung::io::onnx_ops {
namespace {

/// True for [O], [1, O], [1, 1, O], ...
bool is_vector(const Shape& shape) {
  return shape.rank() > 0 && shape.numel() == shape[shape.rank() - 1];
}

void read_arithmetic(Importer& importer, const NodeReader& node) {
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

void read_sum(Importer& importer, const NodeReader& node) {
  if (node.input_count() == 1) {
    read_identity(importer, node);
    return;
  }
  Value* sum = &importer.value(node.input(0));
  for (std::size_t i = 1; i + 1 < node.input_count(); ++i)
    sum = &importer.add_step(node, "sum", make_op("Add"), {sum, &importer.value(node.input(i))});
  importer.add(node, make_op("Add"), {sum, &importer.value(node.input(node.input_count() - 1))});
}

void read_where(Importer& importer, const NodeReader& node) {
  std::vector<Value*> inputs;
  for (const std::size_t i : {0u, 1u, 2u}) inputs.push_back(&importer.value(node.input(i)));
  importer.add(node, make_op("Where"), inputs);
}

/// Relu of codes is a Clip at the code of zero.
void read_relu(Importer& importer, const NodeReader& node) {
  if (importer.quantized(node.input(0)) != nullptr)
    return clip_codes(importer, node, node.input(0), 0, kMaxExtent);
  read_unary(importer, node);
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

void write_cast(OnnxWriter& writer, const std::string& x, const std::string& name, int type) {
  set_attribute(writer.node("Cast", name, {x}, {name}), "to", static_cast<std::int64_t>(type));
}

/// Lets the node read input i as truth values: not 0.
void input_to_truth(Export& to, std::size_t i) {
  const std::string truth = to.name_of("true");
  write_cast(to.writer, to.inputs[i], truth, onnx::TensorProto::BOOL);
  to.inputs[i] = truth;
}

/// The op under its name writes truth values, a Cast behind it our floats.
void write_truth(Export& to) {
  const std::string truth = to.name_of("truth");
  to.attributes.write(to.writer.node(to.node.type(), to.node.name(), to.inputs, {{truth}}));
  const std::string cast = to.name_of("cast");
  set_attribute(to.writer.node("Cast", cast, {truth}, {to.outputs[0]}), "to",
                std::int64_t{onnx::TensorProto::FLOAT});
}

/// And, Not, Or and Xor also read truth values.
void write_logic(Export& to) {
  for (std::size_t i = 0; i < to.inputs.size(); ++i) input_to_truth(to, i);
  write_truth(to);
}

void write_where(Export& to) {
  input_to_truth(to, 0);
  to.write();
}

/// Members of families have ONNX's names and attributes; truth values have a type of their own
/// there.
void add_family(std::vector<OnnxRule>& rules, const std::vector<FamilyMember>& family, Read read) {
  for (const FamilyMember& each : family)
    rules.push_back(
        {.type = each.type,
         .read = read,
         .write = each.make()->traits().result == Result::truth ? write_truth : write_plain});
}

}  // namespace

std::vector<OnnxRule> elementwise_rules() {
  std::vector<OnnxRule> rules = {
      {.type = "Add", .read = read_arithmetic, .write = write_plain},
      {.type = "And", .read = read_binary, .write = write_logic},
      {.type = "Div", .read = read_arithmetic, .write = write_plain},
      {.type = "Elu", .read = read_unary, .write = write_plain},
      {.type = "Gelu", .read = read_unary, .write = write_plain, .since = 20},
      {.type = "HardSigmoid", .read = read_unary, .write = write_plain},
      {.type = "HardSwish", .read = read_unary, .write = write_hard_swish},
      {.type = "LeakyRelu", .read = read_unary, .write = write_plain},
      {.type = "Mish", .read = read_unary, .write = write_plain, .since = 18},
      {.type = "Mul", .read = read_arithmetic, .write = write_plain},
      {.type = "Not", .read = read_unary, .write = write_logic},
      {.type = "Or", .read = read_binary, .write = write_logic},
      {.type = "Relu", .read = read_relu, .write = write_plain},
      {.type = "Shrink", .read = read_unary, .write = write_plain},
      {.type = "Sigmoid", .read = read_unary, .write = write_plain},
      {.type = "Sub", .read = read_arithmetic, .write = write_plain},
      {.type = "Sum", .read = read_sum},
      {.type = "Tanh", .read = read_unary, .write = write_plain},
      {.type = "Where", .read = read_where, .write = write_where},
      {.type = "Xor", .read = read_binary, .write = write_logic},
  };
  add_family(rules, unary_functions(), read_unary);
  add_family(rules, binary_functions(), read_binary);
  return rules;
}

}  // namespace rung::io::onnx_ops
