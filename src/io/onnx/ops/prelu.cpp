// PRelu.

#include <optional>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
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

void read_prelu(Importer& importer, const NodeReader& node) {
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

}  // namespace

std::vector<OnnxRule> prelu_rules() {
  return {
      {.type = "PRelu", .read = read_prelu, .write = write_prelu},
  };
}

}  // namespace rung::io::onnx_ops
