// Functions that are rows of a family: their names and attributes are ONNX's, but truth values have
// a type of their own there.

#include <algorithm>
#include <array>

#include "io/onnx/export/export_node.h"
#include "ops/elementwise/families.h"

namespace rung::io {
namespace {

bool is_of(const std::vector<FamilyMember>& family, std::string_view type) {
  return std::ranges::any_of(family, [&](const FamilyMember& each) { return each.type == type; });
}

void write_cast(OnnxWriter& writer, const std::string& x, const std::string& name, int type) {
  set_attribute(writer.node("Cast", name, {x}, {name}), "to", static_cast<std::int64_t>(type));
}

/// The op under its name writes truth values, a Cast behind it our floats.
void write_truth(Export& to) {
  constexpr std::array<std::string_view, 4> kOfTruths = {"And", "Not", "Or", "Xor"};
  if (std::ranges::find(kOfTruths, to.node.type()) != kOfTruths.end())
    for (std::size_t i = 0; i < to.inputs.size(); ++i) input_to_truth(to, i);
  const std::string truth = to.name_of("truth");
  to.attributes.write(to.writer.node(to.node.type(), to.node.name(), to.inputs, {{truth}}));
  const std::string cast = to.name_of("cast");
  set_attribute(to.writer.node("Cast", cast, {truth}, {to.outputs[0]}), "to",
                std::int64_t{onnx::TensorProto::FLOAT});
}

/// The axes became an input in opset 18, those of ReduceSum in 13.
void write_reduction(Export& to) {
  const auto axes = to.attributes.take<Integers>("axes");
  if (!axes.empty()) {
    to.attributes.put("axes", axes);
    if (to.writer.opset() >= (to.node.type() == "ReduceSum" ? 13 : 18))
      to.attribute_to_input("axes");
  }
  to.write();
}

}  // namespace

void input_to_truth(Export& to, std::size_t i) {
  const std::string truth = to.name_of("true");
  write_cast(to.writer, to.inputs[i], truth, onnx::TensorProto::BOOL);
  to.inputs[i] = truth;
}

bool write_family_member(Export& to) {
  const std::string_view type = to.node.type();
  if (to.node.op().traits().result == Result::truth)
    write_truth(to);
  else if (is_of(reductions(), type))
    write_reduction(to);
  else if (is_of(unary_functions(), type) || is_of(binary_functions(), type))
    to.write();
  else
    return false;
  return true;
}

}  // namespace rung::io
