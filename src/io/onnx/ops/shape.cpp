// Operators that move elements or read them with another shape.

#include <algorithm>
#include <cmath>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

void read_flatten(Importer& importer, const NodeReader& node) {
  importer.add(node, make_op("Flatten", {{"axis", node.integer("axis", 1)}}),
               {&importer.value(node.input(0))});
}

void read_transpose(Importer& importer, const NodeReader& node) {
  importer.add(node, make_op("Transpose", {{"perm", node.integers("perm")}}),
               {&importer.value(node.input(0))});
}

void write_transpose(Export& to) {
  const auto perm = to.attributes.take<Integers>("perm");
  if (!perm.empty()) to.attributes.put("perm", perm);  // none: reversed
  to.write();
}

void read_squeeze(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  Integers axes = axes_of(node, node.has_input(1) ? importer.constant(node.input(1)) : nullptr, 13);
  const Shape* larger = importer.larger_batch(x);
  if (axes.empty())  // all of extent 1, but not the batch
    for (std::int64_t i = 0; i < x.shape().rank(); ++i)
      if (x.shape()[i] == 1 && (larger == nullptr || (*larger)[i] == 1)) axes.push_back(i);
  importer.add(node, make_op("Squeeze", {{"axes", axes}}), {&x});
}

void read_unsqueeze(Importer& importer, const NodeReader& node) {
  const Integers axes =
      axes_of(node, node.has_input(1) ? importer.constant(node.input(1)) : nullptr, 13);
  importer.add(node, make_op("Unsqueeze", {{"axes", axes}}), {&importer.value(node.input(0))});
}

void write_axes(Export& to) {
  to.attribute_to_input("axes");
  to.write();
}

/// A constant of one image beside a batch of any size is repeated for each of its images.
void read_concat(Importer& importer, const NodeReader& node) {
  std::vector<Value*> inputs;
  for (std::size_t i = 0; i < node.input_count(); ++i)
    inputs.push_back(&importer.value(node.input(i)));
  require(!inputs.empty() && node.has("axis"), "needs inputs and an axis");
  const std::int64_t rank = inputs[0]->shape().rank();
  const std::int64_t axis = front_axis(node.integer("axis", 0), rank);
  const auto batch = std::ranges::find_if(inputs, [&](const Value* value) {
    const Shape* larger = importer.larger_batch(*value);
    return larger != nullptr && larger->rank() > 0 && (*larger)[0] != value->shape()[0];
  });
  if (importer.batch_is_open() && axis > 0 && batch != inputs.end()) {
    Value& images = **batch;
    Integers shape(static_cast<std::size_t>(rank), 1);
    shape[0] = 0;  // the batch size
    for (Value*& input : inputs)
      if (input->parameter() != nullptr && input->shape().rank() == rank && input->shape()[0] == 1)
        input = &importer.add_step(node, "repeated", make_op("Expand", {{"shape", shape}}),
                                   {input, &images});
  }
  importer.add(node, make_op("Concat", {{"axis", axis}}), inputs);
}

void read_pad(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::string mode = node.text("mode", "constant");
  Integers pads;
  float value = 0.0f;
  if (node.opset() < 11) {
    pads = node.integers("pads");
    value = node.number("value", 0.0f);
  } else {
    pads = importer.constant(node.input(1))->whole_numbers();
    if (node.has_input(2)) value = static_cast<float>(importer.constant(node.input(2))->scalar());
  }
  if (node.has_input(3)) {  // pads of some axes only
    const Integers axes = importer.constant(node.input(3))->whole_numbers();
    require(pads.size() == 2 * axes.size(), "has {} pads for {} axes", pads.size(), axes.size());
    const auto rank = static_cast<std::size_t>(x.shape().rank());
    Integers all(2 * rank, 0);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(front_axis(axes[i], x.shape().rank()));
      all[axis] = pads[i];
      all[axis + rank] = pads[i + axes.size()];
    }
    pads = all;
  }
  for (const std::int64_t each : pads)
    require(std::abs(each) <= kMaxExtent, "has a pad of {}", each);
  importer.add(node, make_op("Pad", {{"pads", pads}, {"mode", mode}, {"value", value}}), {&x});
}

void write_pad(Export& to) {
  to.attribute_to_input("pads");
  const auto value = to.attributes.take<float>("value");
  to.inputs.push_back(to.name_of("value"));
  to.writer.floats(to.inputs.back(), {}, {&value, 1});
  to.write();
}

void read_dropout(Importer& importer, const NodeReader& node) {
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

void write_dropout(Export& to) {
  to.attributes.take<float>("ratio");
  to.write("Identity");
}

void read_cast(Importer& importer, const NodeReader& node) {
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
  read_identity(importer, node);  // everything is float32
}

}  // namespace

std::vector<OnnxRule> shape_rules() {
  return {
      {.type = "Cast", .read = read_cast},
      {.type = "Concat", .read = read_concat, .write = write_plain, .moves_codes = true},
      {.type = "Dropout", .read = read_dropout, .write = write_dropout, .moves_codes = true},
      {.type = "Flatten", .read = read_flatten, .write = write_plain, .moves_codes = true},
      {.type = "Identity", .read = read_identity, .write = write_plain, .moves_codes = true},
      {.type = "Pad", .read = read_pad, .write = write_pad},
      {.type = "Squeeze", .read = read_squeeze, .write = write_axes, .moves_codes = true},
      {.type = "Transpose", .read = read_transpose, .write = write_transpose, .moves_codes = true},
      {.type = "Unsqueeze", .read = read_unsqueeze, .write = write_axes, .moves_codes = true},
  };
}

}  // namespace rung::io::onnx_ops
