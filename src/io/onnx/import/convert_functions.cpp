// Functions of one or two tensors element by element, choices between tensors, and reductions.

#include "io/onnx/import/convert.h"
#include "io/onnx/import/make_op.h"

namespace rung::io::onnx_import {

void convert_function(Importer& importer, const NodeReader& node) {
  importer.add(node, read_op(node), {&importer.value(node.input(0))});
}

/// Max and Min take any number of tensors, the others two.
void convert_binary(Importer& importer, const NodeReader& node) {
  const std::size_t count = node.input_count();
  const bool takes_any = node.type() == "Max" || node.type() == "Min";
  require(count == 2 || (takes_any && count > 0), "has {} inputs", count);
  if (count == 1) return convert_identity(importer, node);
  Value* y = &importer.value(node.input(0));
  for (std::size_t i = 1; i + 1 < count; ++i)
    y = &importer.add_step(node, "step", make_op(node.type()), {y, &importer.value(node.input(i))});
  importer.add(node, make_op(node.type()), {y, &importer.value(node.input(count - 1))});
}

void convert_where(Importer& importer, const NodeReader& node) {
  std::vector<Value*> inputs;
  for (const std::size_t i : {0u, 1u, 2u}) inputs.push_back(&importer.value(node.input(i)));
  importer.add(node, make_op("Where"), inputs);
}

/// The axes became an input in opset 18, those of ReduceSum in 13.
void convert_reduce(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::vector<std::int64_t> axes =
      axes_of(node, node.has_input(1) ? importer.constant(node.input(1)) : nullptr,
              node.type() == "ReduceSum" ? 13 : 18);
  const bool keepdims = node.integer("keepdims", 1) != 0;
  if (node.integer("noop_with_empty_axes", 0) != 0 && axes.empty()) {
    importer.add(node, make_op("Identity"), {&x});
    return;
  }
  importer.add(node, make_op(node.type(), {{"axes", axes}, {"keepdims", keepdims}}), {&x});
}

}  // namespace rung::io::onnx_import
