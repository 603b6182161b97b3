#include "quantsim/files/file_entries.h"

#include <array>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "rung/ops/folded_batch_norm.h"

namespace rung::quantsim {

namespace {

/// What ONNX calls the formats; AIMET's two of 2024 have the numbers of the "fnuz" ones.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kFloatTypes = {{
    {kFloat16.name, "float16"},
    {kBfloat16.name, "bfloat16"},
    {kFloat8E4m3.name, "float8e4m3fnuz"},
    {kFloat8E4m3fn.name, "float8e4m3fn"},
    {kFloat8E5m2.name, "float8e5m2fnuz"},
}};

io::TensorEncoding float_entry(std::string name, const FloatFormat& format) {
  io::TensorEncoding entry{.name = std::move(name), .dtype = io::EncodingDtype::floating};
  entry.bitwidth = format.bitwidth();
  entry.float_type = float_type(format);
  return entry;
}

/// Says where the scales of blocks lie, and for grouped blocks what they are made of.
void add_blocks(io::TensorEncoding& entry, const Encoding& encoding, const Shape& shape) {
  const Granularity cut = encoding.granularity();
  entry.type = io::EncodingType::per_block;
  entry.axis = cut.blocks->axis;
  entry.block_size = cut.blocks->size;
  entry.block_shape.assign(static_cast<std::size_t>(shape.rank()), 1);
  entry.block_shape.at(static_cast<std::size_t>(*cut.axis)) = cut.channels;
  entry.block_shape.at(static_cast<std::size_t>(cut.blocks->axis)) = cut.blocks->count;
  // A group of one block is that block.
  if (!encoding.grouped || encoding.grouped->per_channel_scale.size() == encoding.scale.size())
    return;
  entry.type = io::EncodingType::lpbq;
  entry.compressed_bitwidth = encoding.bitwidth;
  entry.bitwidth = encoding.grouped->decompressed_bw;
  entry.per_block_int_scale = encoding.grouped->per_block_int_scale;
  entry.scale.assign(encoding.grouped->per_channel_scale.begin(),
                     encoding.grouped->per_channel_scale.end());
  entry.offset.assign(entry.scale.size(), -(std::int64_t{1} << (entry.bitwidth - 1)));
  entry.min.clear();
  entry.max.clear();
}

}  // namespace

std::string float_type(const FloatFormat& format) {
  for (const auto& [name, type] : kFloatTypes)
    if (name == format.name) return std::string(type);
  return std::string(format.name);
}

io::TensorEncoding flat_file_entry(const Value& tensor, const Encoding& encoding) {
  if (encoding.format) return float_entry(tensor.name(), *encoding.format);
  io::TensorEncoding entry{.name = tensor.name()};
  if (encoding.per_channel()) entry.type = io::EncodingType::per_channel;
  entry.axis = encoding.axis;
  entry.bitwidth = encoding.bitwidth;
  entry.is_symmetric = encoding.symmetry != Symmetry::asymmetric;
  entry.is_signed = tensor.parameter() != nullptr && encoding.grid.qmin < 0;
  for (std::int64_t c = 0; c < encoding.channels(); ++c) {
    const Range range = encoding.effective_range(c);
    entry.min.push_back(range.min);
    entry.max.push_back(range.max);
    entry.scale.push_back(encoding.scale[static_cast<std::size_t>(c)]);
    entry.offset.push_back(encoding.file_offset(c));
  }
  return entry;
}

io::TensorEncoding file_entry(const Value& tensor, const Encoding& encoding) {
  io::TensorEncoding entry = flat_file_entry(tensor, encoding);
  if (encoding.blocks) add_blocks(entry, encoding, tensor.shape());
  return entry;
}

namespace {

/// Returns the layer whose output is passed on by a batch norm that is folded in simulation: files
/// know the folded network. nullptr for any other value.
const Node* simulated_layer(const Value& value) {
  const Node* producer = value.producer();
  const bool is_simulated =
      producer != nullptr && producer->as<FoldedBatchNormalization>() != nullptr;
  return is_simulated ? producer->inputs()[0]->producer() : nullptr;
}

}  // namespace

std::vector<std::string> tensor_keys(const QuantizerHandle& quantizer) {
  const Value& source = quantizer.source();
  if (quantizer.place() == QuantizerPlace::parameter) {
    const bool is_folded = source.parameter() == nullptr;  // what FoldedWeight makes of its input
    return {is_folded ? source.producer()->inputs()[0]->name() : source.name()};
  }
  if (quantizer.place() == QuantizerPlace::edge)
    return {source.name(), quantizer.node().output().name()};
  if (const Node* layer = simulated_layer(source)) return {source.name(), layer->output().name()};
  return {source.name()};
}

std::string ModuleKey::to_string() const {
  const bool is_input = side == io::ModuleEncoding::Side::input;
  return fmt::format("{}.{}_quantizers.{}", module, is_input ? "input" : "output", index);
}

std::vector<ModuleKey> module_keys(const QuantizerHandle& quantizer) {
  const Node* producer = quantizer.source().producer();
  std::vector<ModuleKey> keys;
  if (quantizer.place() == QuantizerPlace::value && producer != nullptr) {
    keys.push_back({producer->name(), io::ModuleEncoding::Side::output,
                    static_cast<std::int64_t>(quantizer.source().output_index())});
    if (const Node* layer = simulated_layer(quantizer.source()))
      keys.push_back({layer->name(), io::ModuleEncoding::Side::output, 0});
    return keys;
  }
  for (const Use& use : quantizer.node().output().uses())
    keys.push_back(
        {use.node->name(), io::ModuleEncoding::Side::input, static_cast<std::int64_t>(use.index)});
  return keys;
}

}  // namespace rung::quantsim
