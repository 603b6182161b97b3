// QuantizeLinear and DequantizeLinear: together a QuantizeDequantize node. The exporter writes
// them of a whole graph (export/export_quantizers.cpp).

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "io/files/names.h"
#include "io/onnx/import/grid.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/codes.h"
#include "io/onnx/ops/matrix.h"
#include "io/onnx/ops/rule.h"
#include "ops/quantize/quantizer_names.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::io::onnx_ops {
namespace {

using Proto = ::onnx::TensorProto;

constexpr int kMostSteps = 16;  // between a quantizer and the layer that reads it

/// Returns what a tensor is for: the first layer that reads it says so, also through operators that
/// only move or quantize it.
std::optional<Role> role_in_layer(const Importer& importer, const std::string& tensor, int steps) {
  for (const Reader& reader : importer.readers(tensor)) {
    const std::string& type = reader.node->op_type();
    const std::unique_ptr<Op> op = rung::make_op(type);
    const std::optional<Weighted> weighted = op ? op->traits().weighted : std::nullopt;
    const bool is_layer = weighted && weighted->bias;
    if (weighted && (reader.index == weighted->weight || !is_layer)) return Role::weight;
    if (is_layer && reader.index == weighted->bias) return Role::bias;
    if (type == "PRelu" && reader.index == 1) return Role::norm;
    constexpr std::array kPassing = std::to_array<std::string_view>(
        {"Clip", "DequantizeLinear", "Max", "Min", "QuantizeLinear"});
    const bool passes = (op && op->traits().math_invariant()) ||
                        std::ranges::find(kPassing, type) != kPassing.end();
    if (is_layer || steps == kMostSteps || reader.index != 0 || reader.node->output_size() == 0 ||
        !passes)
      continue;
    if (const auto role = role_in_layer(importer, reader.node->output(0), steps + 1)) return role;
  }
  return std::nullopt;
}

Role role_of(const Importer& importer, const std::string& tensor) {
  return role_in_layer(importer, tensor, 0).value_or(Role::buffer);
}

/// True if the tensor is the weight of a Gemm with transB = 0 and nothing else: ours have it as
/// [O, I], and so must its quantizer.
bool is_untransposed_weight(const Importer& importer, const std::string& tensor,
                            const Quantized& pair) {
  const std::vector<Reader>& readers = importer.readers(tensor);
  if (readers.size() != 1 || importer.is_output(tensor) || pair.block_size != 0) return false;
  const Reader& reader = readers[0];
  if (reader.node->op_type() != "Gemm" || reader.index != 1) return false;
  const NodeReader gemm(*reader.node, 0);
  return gemm.integer("transB", 0) == 0 && gemm.number("alpha", 1.0f) == 1.0f;
}

/// Returns the codes and the pair as they are for the transposed matrix.
void transpose(Constant& stored, Quantized& pair) {
  const Shape& shape = stored.shape;
  Integers from;
  for (std::int64_t column = 0; column < shape[1]; ++column)
    for (std::int64_t row = 0; row < shape[0]; ++row) from.push_back(row * shape[1] + column);
  stored = take(stored, Shape{shape[1], shape[0]}, from);
  pair.axis = 1 - front_axis(pair.axis, 2);
}

Value& add_quantizer(Importer& importer, const std::string& output, const QdqGrid& grid,
                     Value& source) {
  Graph& graph = importer.graph();
  std::unique_ptr<Quantizer> quantizer = grid.quantizer();
  // An exporter that follows the naming, of places on edges too, is taken at its word.
  const bool is_own = has_quantizer_suffix(output) && graph.find_value(output) == nullptr;
  const std::string name = is_own ? output : importer.fresh_name(quantizer_name(source));
  std::vector<Value*> inputs = {&source};
  for (const ParameterSpec& spec : quantizer->parameters()) {
    Value& made = importer.add_parameter(importer.fresh_name(name + "." + spec.name),
                                         Tensor::full(spec.shape, spec.initial), Role::encoding);
    // As quantizers that were calibrated: trained only when that is asked for.
    made.parameter()->set_requires_grad(false);
    inputs.push_back(&made);
  }
  Value& result = importer.add_named(
      name, std::make_unique<QuantizeDequantize>(std::move(quantizer), make_min_max()), inputs);
  Node& made = *result.producer();
  auto& op = *made.as<QuantizeDequantize>();
  op.set_place(place_by_name(made.name(), source));
  op.set_ranges(grid.ranges(), quantizer_parameters(made));
  return result;
}

/// Returns the Clip that only this quantizer reads, of which it makes a smaller grid; nullptr if
/// there is none.
Node* narrowing_clip(Importer& importer, QdqGrid& grid, const std::string& tensor, Value& source) {
  Node* clip = source.producer();
  if (clip == nullptr || clip->type() != "Clip" || importer.readers(tensor).size() != 1 ||
      importer.is_output(tensor) || source.name() != tensor)
    return nullptr;
  const bool fits =
      grid.narrow(float_attribute(clip->op(), "min"), float_attribute(clip->op(), "max"));
  return fits ? clip : nullptr;
}

/// Reads what both operators have in common.
Quantized read_pair(Importer& importer, const NodeReader& node) {
  Quantized pair;
  pair.source = node.input(0);
  pair.scale = node.input(1);
  if (node.has_input(2)) {
    pair.zero_point = node.input(2);
    pair.type = importer.constant(node.input(2))->type;
  }
  pair.axis = node.integer("axis", 1);
  pair.block_size = node.integer("block_size", 0);
  require(pair.block_size >= 0, "has a block_size of {}", pair.block_size);
  node.ignore("saturate");
  return pair;
}

/// Clips what codes mean where no grid has these codes alone.
Value& clipped(Importer& importer, const Quantized& codes, Value& value) {
  const QdqCodes type = qdq_codes(codes.type);
  const ConstantPtr scale = importer.constant(codes.scale);
  require(scale->shape.numel() == 1,
          "clips codes from {} to {} per channel: grids of whole bits that have a code for 0 are "
          "imported",
          (*codes.limits)[0], (*codes.limits)[1]);
  const std::int64_t zero =
      codes.zero_point ? importer.constant(*codes.zero_point)->whole_numbers()[0] : 0;
  const auto number = [&](std::int64_t code) {
    return static_cast<float>(std::clamp(code, type.lowest(), type.highest()) - zero) *
           scale->floats[0];
  };
  return importer.add_named(
      importer.fresh_name(value.name() + ".clip"),
      make_op("Clip", {{"min", number((*codes.limits)[0])}, {"max", number((*codes.limits)[1])}}),
      {&value});
}

/// A bias: int32 codes, one scale or one per element.
void dequantize_bias(Importer& importer, const NodeReader& node, const Constant& stored,
                     const Quantized& pair) {
  const ConstantPtr scale = importer.constant(pair.scale);
  require(
      !pair.zero_point || std::ranges::all_of(importer.constant(*pair.zero_point)->whole_numbers(),
                                              [](std::int64_t z) { return z == 0; }),
      "has int32 numbers with a zero point other than 0");
  const bool one = scale->shape.numel() == 1;
  require(
      !scale->is_integer() && (one || (stored.shape.rank() == 1 && scale->shape == stored.shape)),
      "has scales {} for int32 numbers {}", scale->shape, stored.shape);
  Tensor result(stored.shape);
  for (std::size_t i = 0; i < stored.integers.size(); ++i)
    result.data()[i] = static_cast<float>(static_cast<double>(stored.integers[i]) *
                                          double{scale->floats[one ? 0 : i]});
  importer.set_value(node.output(), importer.add_parameter(pair.source, std::move(result),
                                                           role_of(importer, node.output())));
}

}  // namespace

bool are_equal(Importer& importer, const Quantized& a, const Quantized& b) {
  const auto same = [&](const std::string& x, const std::string& y) {
    const ConstantPtr one = importer.constant(x), two = importer.constant(y);
    return one->floats == two->floats && one->integers == two->integers;
  };
  // Without a zero point it is 0.
  const auto zeros = [&](const Quantized& each) {
    return !each.zero_point || std::ranges::all_of(importer.constant(*each.zero_point)->integers,
                                                   [](std::int64_t z) { return z == 0; });
  };
  return a.block_size == b.block_size && same(a.scale, b.scale) &&
         (importer.constant(a.scale)->shape.numel() == 1 || a.axis == b.axis) &&
         (a.zero_point && b.zero_point ? same(*a.zero_point, *b.zero_point) : zeros(a) && zeros(b));
}

Value& dequantized(Importer& importer, Quantized& codes, const std::string& tensor, bool is_alone) {
  if (codes.result == nullptr) {
    const Role role = role_of(importer, tensor);
    const bool is_matrix =
        importer.is_constant(codes.source) && importer.constant(codes.source)->shape.rank() == 2;
    const bool turns = is_alone && is_matrix && is_untransposed_weight(importer, tensor, codes);
    Value& source = turns ? importer.parameter(codes.source, role, "transposed", transposed)
                          : importer.parameter(codes.source, role);
    if (turns) {
      codes.axis = 1 - front_axis(codes.axis, 2);
      importer.set_transposed(tensor);
    }
    QdqGrid grid(importer, codes, source.shape());
    Node* clip = codes.limits ? nullptr : narrowing_clip(importer, grid, codes.source, source);
    if (codes.limits && grid.narrow_codes((*codes.limits)[0], (*codes.limits)[1]))
      codes.limits.reset();
    codes.result =
        &add_quantizer(importer, tensor, grid, clip != nullptr ? *clip->inputs()[0] : source);
    if (clip != nullptr) importer.remove(*clip);
  }
  if (codes.limits) {
    codes.result = &clipped(importer, codes, *codes.result);
    codes.limits.reset();
  }
  return *codes.result;
}

namespace {

void read_quantize_linear(Importer& importer, const NodeReader& node) {
  Quantized pair = read_pair(importer, node);
  const auto type = static_cast<std::int32_t>(node.integer("output_dtype", 0));
  if (type != 0 && !pair.zero_point) pair.type = type;
  (void)qdq_codes(pair.type);
  importer.set_quantized(node.output(), std::move(pair));
}

void read_dequantize_linear(Importer& importer, const NodeReader& node) {
  Quantized pair = read_pair(importer, node);
  node.ignore("output_dtype");
  if (importer.is_constant(pair.source)) {
    Constant stored = *importer.constant(pair.source);
    pair.type = stored.type;
    if (pair.type == Proto::INT32) {
      dequantize_bias(importer, node, stored, pair);
      return;
    }
    if (stored.shape.rank() == 2 && is_untransposed_weight(importer, node.output(), pair)) {
      transpose(stored, pair);
      importer.set_transposed(node.output());
    }
    QdqGrid grid(importer, pair, stored.shape);
    if (stored.limits) grid.narrow_codes((*stored.limits)[0], (*stored.limits)[1]);
    Value& weight = importer.add_parameter(importer.origin(pair.source), grid.dequantize(stored),
                                           role_of(importer, node.output()));
    importer.set_value(node.output(), add_quantizer(importer, node.output(), grid, weight));
    return;
  }
  Quantized* open = importer.quantized(pair.source);
  require(open != nullptr, "reads {}, which is not written by QuantizeLinear",
          shown_name(pair.source));
  require(are_equal(importer, *open, pair),
          "has another scale or zero point than the QuantizeLinear before it");
  const bool is_alone = importer.readers(pair.source).size() == 1;
  importer.set_value(node.output(), dequantized(importer, *open, node.output(), is_alone));
}

}  // namespace

std::vector<OnnxRule> quantize_rules() {
  return {
      {.type = "DequantizeLinear", .read = read_dequantize_linear},
      {.type = "QuantizeLinear", .read = read_quantize_linear},
  };
}

}  // namespace rung::io::onnx_ops
