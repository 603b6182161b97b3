// Clip, and Min and Max with numbers, which are clipping on one side; of numbers and of codes.

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/codes.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

/// What clipping leaves.
struct Bounds {
  float min = -kLargest, max = kLargest;
};

/// Reads a bound of codes from a constant.
std::int64_t code_of(Importer& importer, const std::string& tensor) {
  const ConstantPtr bound = importer.constant(tensor);
  require(bound->shape.numel() == 1, "must be clipped to one number, got {}", bound->shape);
  return bound->whole_numbers()[0];
}

float number_of(Importer& importer, const std::string& tensor) {
  return static_cast<float>(importer.constant(tensor)->scalar());
}

/// Returns the Relu or Clip that only the Clip to come reads; nullptr if there is none.
Node* clip_before(const Importer& importer, const std::string& tensor, const Value& x) {
  Node* before = x.producer();
  const bool is_clip =
      before != nullptr && (before->type() == "Relu" || before->type() == "Clip") &&
      importer.readers(tensor).size() == 1 && !importer.is_output(tensor) && x.name() == tensor;
  return is_clip ? before : nullptr;
}

/// ReLU6 comes as Relu and Min, or as Max and Min: one Clip, as it was before it was exported.
void add_joint_clip(Importer& importer, const NodeReader& node, const std::string& tensor,
                    Bounds bounds) {
  Value& x = importer.value(tensor);
  Node* before = clip_before(importer, tensor, x);
  if (before != nullptr) {
    const bool is_relu = before->type() == "Relu";
    const float min = is_relu ? 0.0f : float_attribute(before->op(), "min");
    const float max = is_relu ? kLargest : float_attribute(before->op(), "max");
    const Bounds second = bounds;
    bounds.min = std::min(std::max(min, second.min), second.max);
    bounds.max = std::min(std::max(max, second.min), second.max);
  }
  importer.add(node, make_op("Clip", {{"min", bounds.min}, {"max", bounds.max}}),
               {before != nullptr ? before->inputs()[0] : &x});
  if (before != nullptr) importer.remove(*before);
}

void read_clip(Importer& importer, const NodeReader& node) {
  const std::string& x = node.input(0);
  if (importer.quantized(x) != nullptr) {
    using Limits = std::numeric_limits<std::int64_t>;
    const bool has_min = node.has_input(1), has_max = node.has_input(2);
    clip_codes(importer, node, x, has_min ? code_of(importer, node.input(1)) : Limits::min(),
               has_max ? code_of(importer, node.input(2)) : Limits::max());
    return;
  }
  Bounds bounds;
  if (node.opset() < 11) {
    bounds.min = node.number("min", bounds.min);
    bounds.max = node.number("max", bounds.max);
  } else {
    if (node.has_input(1)) bounds.min = number_of(importer, node.input(1));
    if (node.has_input(2)) bounds.max = number_of(importer, node.input(2));
  }
  importer.add(node, make_op("Clip", {{"min", bounds.min}, {"max", bounds.max}}),
               {&importer.value(x)});
}

void read_min_max(Importer& importer, const NodeReader& node) {
  const bool is_min = node.type() == "Min";
  std::vector<std::string> values, numbers;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    const std::string& tensor = node.input(i);
    const bool is_number =
        importer.is_constant(tensor) && importer.constant(tensor)->shape.numel() == 1;
    (is_number ? numbers : values).push_back(tensor);
  }
  if (values.size() != 1 || importer.is_constant(values[0])) return read_binary(importer, node);
  if (importer.quantized(values[0]) != nullptr) {
    using Limits = std::numeric_limits<std::int64_t>;
    std::int64_t low = Limits::min(), high = Limits::max();
    for (const std::string& each : numbers) {
      const std::int64_t code = code_of(importer, each);
      if (is_min)
        high = std::min(high, code);
      else
        low = std::max(low, code);
    }
    clip_codes(importer, node, values[0], low, high);
    return;
  }
  Bounds bounds;
  for (const std::string& each : numbers) {
    const float number = number_of(importer, each);
    require(!std::isnan(number), "clips to NaN");
    if (is_min)
      bounds.max = std::min(bounds.max, number);
    else
      bounds.min = std::max(bounds.min, number);
  }
  add_joint_clip(importer, node, values[0], bounds);
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

}  // namespace

void clip_codes(Importer& importer, const NodeReader& node, const std::string& tensor,
                std::int64_t low, std::int64_t high) {
  Quantized clipped = *importer.quantized(tensor);
  clipped.limits = joint_limits(clipped.limits, low, high);
  importer.set_quantized(node.output(), std::move(clipped));
}

std::vector<OnnxRule> clip_rules() {
  return {
      {.type = "Clip", .read = read_clip, .write = write_clip},
      {.type = "Max", .read = read_min_max, .write = write_plain},
      {.type = "Min", .read = read_min_max, .write = write_plain},
  };
}

}  // namespace rung::io::onnx_ops
