// QuantizeLinear and DequantizeLinear: together a QuantizeDequantize node.

#include <algorithm>
#include <string_view>

#include "io/names.h"
#include "io/onnx/import/convert.h"
#include "io/onnx/import/grid.h"
#include "io/onnx/import/make_op.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::io::onnx_import {
namespace {

using Proto = ::onnx::TensorProto;

/// Returns what a tensor is for: the first layer that reads it says so.
Role role_of(const Importer& importer, const std::string& tensor) {
  for (const Reader& reader : importer.readers(tensor)) {
    const std::string& type = reader.node->op_type();
    if (type == "MatMul") return Role::weight;
    if (type != "Conv" && type != "ConvTranspose" && type != "Gemm") continue;
    if (reader.index == 1) return Role::weight;
    if (reader.index == 2) return Role::bias;
  }
  return Role::buffer;
}

Value& add_quantizer(Importer& importer, const NodeReader& node, const QdqGrid& grid,
                     Value& source) {
  Graph& graph = importer.graph();
  std::unique_ptr<Quantizer> quantizer = grid.quantizer();
  const std::string& output = node.output();
  // An exporter that follows the naming, of places on edges too, is taken at its word.
  const bool is_own = output.ends_with(".qdq") && graph.find_value(output) == nullptr;
  const std::string name = is_own ? output : importer.fresh_name(source.name() + ".qdq");
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
  made.as<QuantizeDequantize>()->set_ranges(grid.ranges(), quantizer_parameters(made));
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

void convert_quantize_linear(Importer& importer, const NodeReader& node) {
  Quantized pair = read_pair(importer, node);
  const auto type = static_cast<std::int32_t>(node.integer("output_dtype", 0));
  if (type != 0 && !pair.zero_point) pair.type = type;
  (void)qdq_codes(pair.type);
  importer.set_quantized(node.output(), std::move(pair));
}

void convert_dequantize_linear(Importer& importer, const NodeReader& node) {
  Quantized pair = read_pair(importer, node);
  node.ignore("output_dtype");
  if (importer.is_constant(pair.source)) {
    const ConstantPtr stored = importer.constant(pair.source);
    pair.type = stored->type;
    if (pair.type == Proto::INT32) {
      dequantize_bias(importer, node, *stored, pair);
      return;
    }
    const QdqGrid grid(importer, pair, stored->shape);
    Value& weight = importer.add_parameter(pair.source, grid.dequantize(*stored),
                                           role_of(importer, node.output()));
    importer.set_value(node.output(), add_quantizer(importer, node, grid, weight));
    return;
  }
  Quantized* open = importer.quantized(pair.source);
  require(open != nullptr, "reads {}, which is not written by QuantizeLinear",
          shown_name(pair.source));
  require(are_equal(importer, *open, pair),
          "has another scale or zero point than the QuantizeLinear before it");
  if (open->result == nullptr) {
    Value& source = importer.parameter(open->source, role_of(importer, node.output()));
    QdqGrid grid(importer, *open, source.shape());
    Node* clip = narrowing_clip(importer, grid, open->source, source);
    open->result =
        &add_quantizer(importer, node, grid, clip != nullptr ? *clip->inputs()[0] : source);
    if (clip != nullptr) importer.remove(*clip);
  }
  importer.set_value(node.output(), *open->result);
}

}  // namespace rung::io::onnx_import
