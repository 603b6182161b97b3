#include "io/onnx/export/export_quantizers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/check.h"
#include "graph/layer.h"
#include "io/onnx/stored_codes.h"
#include "ops/linear/bias_scales.h"
#include "rung/quant/fake_quantize.h"

namespace rung::io {
namespace {

StoredCodes codes_of(const QuantizerHandle& quantizer, const Encoding& encoding,
                     const OnnxWriter& writer) {
  try {
    return stored_codes(encoding, writer.codes(), writer.opset());
  } catch (const Error& error) {
    fail("the quantizer {} {}", quantizer.name(), error.what());
  }
}

/// True for a weight of a MatMul whose other operand has more than 8 bits. ONNX Runtime would round
/// that to 8 bits before it multiplies with a weight of bytes (MatMulNBits, accuracy level 4).
bool multiplies_wide(const QuantizerHandle& quantizer) {
  return std::ranges::any_of(quantizer.node().output().uses(), [](const Use& use) {
    return use.node->type() == "MatMul" && code_bits(*use.node->inputs()[1 - use.index]) > 8;
  });
}

/// The initializers of scale and zero point, and the attributes that say how they lie.
struct Numbers {
  std::string scale, zero_point;
  std::optional<std::int64_t> axis, block_size;

  void set_attributes(onnx::NodeProto& node) const {
    if (axis) set_attribute(node, "axis", *axis);
    if (block_size) set_attribute(node, "block_size", *block_size);
  }
};

/// Spreads one number per block of a channel over a tensor in which only the block axis is shorter:
/// ONNX has no scales that further axes share.
template <typename T>
std::vector<T> spread(const std::vector<T>& numbers, const Granularity& cut, const Shape& shape) {
  const bool blocks_last = *cut.axis < cut.blocks->axis;
  std::vector<T> result;
  result.reserve(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    std::int64_t rest = i, channel = 0, block = 0;
    for (std::int64_t axis = shape.rank() - 1; axis >= 0; --axis) {
      if (axis == *cut.axis) channel = rest % shape[axis];
      if (axis == cut.blocks->axis) block = rest % shape[axis];
      rest /= shape[axis];
    }
    const std::int64_t at =
        blocks_last ? channel * cut.blocks->count + block : block * cut.channels + channel;
    result.push_back(numbers[static_cast<std::size_t>(at)]);
  }
  return result;
}

Numbers write_numbers(OnnxWriter& writer, const QuantizerHandle& quantizer,
                      const Encoding& encoding, const StoredCodes& type) {
  const Granularity cut = encoding.granularity();
  std::vector<float> scales = encoding.scale;
  std::vector<std::int32_t> zero_points;
  for (const std::int64_t offset : encoding.offset)
    zero_points.push_back(static_cast<std::int32_t>(-offset));
  Numbers numbers;
  Shape shape = cut.shape();
  if (cut.axis) numbers.axis = *cut.axis;
  if (cut.blocks) {
    numbers.axis = cut.blocks->axis;
    numbers.block_size = cut.blocks->size;
    shape = quantizer.source().shape().with(cut.blocks->axis, cut.blocks->count);
    scales = spread(scales, cut, shape);
    zero_points = spread(zero_points, cut, shape);
  }
  numbers.scale = writer.fresh_name(quantizer.node().name() + ".scale");
  numbers.zero_point = writer.fresh_name(quantizer.node().name() + ".zero_point");
  writer.floats(numbers.scale, shape, scales);
  writer.tensor(numbers.zero_point, type.data_type(), shape, packed(zero_points, type));
  return numbers;
}

/// QuantizeLinear saturates where its type ends; where the grid ends before, the tensor is clipped
/// to the numbers of the lowest and the highest code. Returns the name of the clipped one.
std::string write_clip(OnnxWriter& writer, const QuantizerHandle& quantizer,
                       const Encoding& encoding, const std::string& x) {
  require(encoding.scale.size() == 1,
          "the quantizer {} has {} bits per channel, which ONNX has no clipping for: give it 8 or "
          "16 bits, or 4 and packed codes",
          quantizer.name(), encoding.bitwidth);
  const std::string name = writer.fresh_name(quantizer.name() + ".clip");
  const std::array<std::string, 2> bounds = {writer.fresh_name(name + ".min"),
                                             writer.fresh_name(name + ".max")};
  const Range range = encoding.effective_range();
  writer.floats(bounds[0], {}, {&range.min, 1});
  writer.floats(bounds[1], {}, {&range.max, 1});
  writer.node("Clip", name, {x, bounds[0], bounds[1]}, {name});
  return name;
}

}  // namespace

const QuantizeDequantize* working_quantizer(const Node& node) {
  const auto* op = node.as<QuantizeDequantize>();
  return op != nullptr && op->enabled() && !op->quantizer().pass_through() ? op : nullptr;
}

int code_bits(const Value& value) {
  for (const Node* from = value.producer(); from != nullptr; from = from->inputs()[0]->producer()) {
    if (const QuantizeDequantize* op = working_quantizer(*from)) return op->quantizer().bitwidth();
    if (from->as<QuantizeDequantize>() == nullptr && !from->op().traits().grid_preserving()) break;
  }
  return 0;
}

Encoding linear_encoding(const QuantizerHandle& quantizer) {
  const Encoding encoding = quantizer.encoding();
  require(!encoding.is_float(),
          "the quantizer {} rounds to {}, which QuantizeLinear of ONNX opset {} cannot do: export "
          "float weights (OnnxQuantizers::baked), or disable it",
          quantizer.name(), encoding.format->name, kOpsetBlocks);
  require(quantizer.op().quantizer().runs_fused(),
          "the quantizer {} is of kind \"{}\", which QuantizeLinear does not compute: export float "
          "weights (OnnxQuantizers::baked), or disable it",
          quantizer.name(), quantizer.op().quantizer().kind());
  return encoding;
}

void write_parameter_quantizer(OnnxWriter& writer, const Parameter& parameter,
                               const QuantizerHandle& quantizer, const std::string& codes) {
  const Encoding encoding = linear_encoding(quantizer);
  StoredCodes type = codes_of(quantizer, encoding, writer);
  if (writer.codes() == OnnxCodes::bytes && multiplies_wide(quantizer)) type.bits = 16;
  const std::vector<std::int32_t> numbers =
      quantize(parameter.value().data(), parameter.shape(), encoding);
  writer.tensor(codes, type.data_type(), parameter.shape(), packed(numbers, type));
  const Numbers stored = write_numbers(writer, quantizer, encoding, type);
  stored.set_attributes(writer.node("DequantizeLinear", quantizer.node().name(),
                                    {codes, stored.scale, stored.zero_point},
                                    {quantizer.node().output().name()}));
}

void write_quantizer(OnnxWriter& writer, const QuantizerHandle& quantizer, const std::string& x) {
  const Encoding encoding = linear_encoding(quantizer);
  const StoredCodes type = codes_of(quantizer, encoding, writer);
  const bool clips = type.is_wider_than(encoding.grid);
  const std::string clipped = clips ? write_clip(writer, quantizer, encoding, x) : x;
  const Numbers stored = write_numbers(writer, quantizer, encoding, type);
  const std::string codes = writer.fresh_name(quantizer.name() + ".q");
  stored.set_attributes(
      writer.node("QuantizeLinear", codes, {clipped, stored.scale, stored.zero_point}, {codes}));
  stored.set_attributes(writer.node("DequantizeLinear", quantizer.node().name(),
                                    {codes, stored.scale, stored.zero_point},
                                    {quantizer.node().output().name()}));
}

std::string write_int32_bias(OnnxWriter& writer, const Node& node) {
  const std::vector<float> scales = bias_scales(node);
  if (scales.empty() || bias_value(node)->uses().size() != 1) return {};
  const Parameter& bias = *bias_value(node)->parameter();
  const auto values = bias.value().data();
  std::vector<std::int32_t> codes;
  for (std::size_t c = 0; c < values.size(); ++c) {
    const auto code = bias_code(values[c], scales[scales.size() == 1 ? 0 : c]);
    if (!code) return {};
    codes.push_back(*code);
  }
  const std::string name = writer.fresh_name(bias.name() + ".dq");
  const std::string scale = writer.fresh_name(name + ".scale");
  const std::string zero_point = writer.fresh_name(name + ".zero_point");
  const Shape shape = scales.size() == 1 ? Shape{} : bias.shape();
  const auto put = [&](const std::string& tensor, const Shape& dims,
                       const std::vector<std::int32_t>& numbers) {
    writer.tensor(tensor, onnx::TensorProto::INT32, dims,
                  bytes_of(std::span<const std::int32_t>(numbers)));
  };
  put(bias.name(), bias.shape(), codes);
  writer.floats(scale, shape, scales);
  // ONNX needs none, but aimet_onnx only reads biases that have one.
  put(zero_point, shape, std::vector<std::int32_t>(scales.size(), 0));
  onnx::NodeProto& dequantize =
      writer.node("DequantizeLinear", name, {bias.name(), scale, zero_point}, {name});
  if (scales.size() > 1) set_attribute(dequantize, "axis", std::int64_t{0});
  return name;
}

}  // namespace rung::io
