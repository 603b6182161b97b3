// PRelu.

#include "io/onnx/import/convert.h"
#include "io/onnx/import/make_op.h"

namespace rung::io::onnx_import {
namespace {

/// Returns how PyTorch has a slope that ONNX repeats over x as NumPy does: [1], or [C] for one per
/// channel; nothing for other slopes.
std::optional<Shape> vector_of(const Shape& slope, const Shape& x) {
  if (slope.numel() == 1) return Shape{1};
  const std::int64_t axis = slope.rank() + 1 - x.rank();
  if (x.rank() < 2 || axis < 0 || axis >= slope.rank()) return std::nullopt;
  if (slope[axis] != x[1] || slope.numel() != x[1]) return std::nullopt;
  return Shape{x[1]};
}

/// Returns the vector that an Unsqueeze gave its axes (a quantized slope), or the value itself.
Value& before_unsqueeze(Value& slope) {
  Node* node = slope.producer();
  const bool is_vector =
      node != nullptr && node->type() == "Unsqueeze" && node->inputs()[0]->shape().rank() == 1;
  return is_vector ? *node->inputs()[0] : slope;
}

/// Any other slope: max(x, 0) + slope min(x, 0).
void add_parts(Importer& importer, const NodeReader& node, Value& x, Value& slope) {
  Value& positive = importer.add_step(node, "positive", make_op("Relu"), {&x});
  Value& negative = importer.add_step(node, "negative", make_op("Sub"), {&x, &positive});
  Value& scaled = importer.add_step(node, "scaled", make_op("Mul"), {&slope, &negative});
  importer.add(node, make_op("Add"), {&positive, &scaled});
}

}  // namespace

void convert_prelu(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::string& name = node.input(1);
  const bool is_constant = importer.is_constant(name);
  const Shape shape = is_constant ? importer.constant(name)->shape : importer.value(name).shape();
  const std::optional<Shape> vector = vector_of(shape, x.shape());
  if (!vector) {
    add_parts(importer, node, x, importer.parameter(name, Role::norm));
    return;
  }
  if (is_constant) {
    importer.add(node, make_op("PRelu"),
                 {&x, &importer.reshaped_parameter(name, Role::norm, *vector)});
    return;
  }
  Value& slope = importer.value(name);
  Value& plain = before_unsqueeze(slope);
  importer.add(node, make_op("PRelu"), {&x, &plain});
  if (&plain != &slope && slope.uses().empty() && !importer.is_output(name))
    importer.remove(*slope.producer());
}

}  // namespace rung::io::onnx_import
