// Reductions, and what is normalized along an axis.

#include <algorithm>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"
#include "ops/elementwise/families.h"

namespace rung::io::onnx_ops {
namespace {

/// The axes became an input in opset 18, those of ReduceSum in 13.
void read_reduce(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const Integers axes =
      axes_of(node, node.has_input(1) ? importer.constant(node.input(1)) : nullptr,
              node.type() == "ReduceSum" ? 13 : 18);
  const bool keepdims = node.integer("keepdims", 1) != 0;
  if (node.integer("noop_with_empty_axes", 0) != 0 && axes.empty()) {
    importer.add(node, make_op("Identity"), {&x});
    return;
  }
  importer.add(node, make_op(node.type(), {{"axes", axes}, {"keepdims", keepdims}}), {&x});
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

/// Softmax and LogSoftmax.
void read_softmax(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const bool flattens = node.opset() < 13;
  const std::int64_t rank = x.shape().rank();
  const std::int64_t axis = front_axis(node.integer("axis", flattens ? 1 : -1), rank);
  const bool rest_is_1 = std::ranges::all_of(
      x.shape().dims().subspan(static_cast<std::size_t>(axis) + 1), [](auto d) { return d == 1; });
  if (!flattens || rest_is_1) {
    importer.add(node, make_op(node.type(), {{"axis", axis}}), {&x});
    return;
  }
  // Before opset 13 everything from the axis on is one vector.
  Value& flat = importer.add_step(node, "flat", make_op("Flatten", {{"axis", axis}}), {&x});
  Value& y = importer.add_step(node, "softmax", make_op(node.type(), {{"axis", std::int64_t{1}}}),
                               {&flat});
  const Shape* larger = importer.larger_batch(x);
  Integers shape;
  for (std::int64_t i = 0; i < rank; ++i)
    shape.push_back(larger != nullptr && (*larger)[i] != x.shape()[i] ? -1 : x.shape()[i]);
  importer.add(node, make_op("Reshape", {{"shape", shape}}), {&y});
}

}  // namespace

std::vector<OnnxRule> reduce_rules() {
  std::vector<OnnxRule> rules = {
      {.type = "LogSoftmax", .read = read_softmax, .write = write_plain},
      {.type = "ReduceMean", .read = read_reduce, .write = write_reduction},
      {.type = "Softmax", .read = read_softmax, .write = write_plain},
  };
  for (const FamilyMember& each : reductions())
    rules.push_back({.type = each.type, .read = read_reduce, .write = write_reduction});
  return rules;
}

}  // namespace rung::io::onnx_ops
