#include <array>
#include <cmath>
#include <set>

#include "core/check.h"
#include "io/encodings/entry.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

constexpr std::string_view kSource = "encodings";

std::string_view type_name(EncodingType type) {
  switch (type) {
    case EncodingType::per_tensor:
      return "PER_TENSOR";
    case EncodingType::per_channel:
      return "PER_CHANNEL";
    case EncodingType::per_block:
      return "PER_BLOCK";
    default:
      return "LPBQ";
  }
}

}  // namespace

void check_consistent(const TensorEncoding& encoding) {
  const std::string name = shown_name(encoding.name);
  const std::size_t count = encoding.scale.size();
  require(encoding.offset.size() == count, "{}: {} has {} scales, but {} offsets", kSource, name,
          count, encoding.offset.size());
  require(encoding.min.size() == encoding.max.size() &&
              (encoding.min.empty() || count == 0 || encoding.min.size() == count),
          "{}: {} has {} scales, {} minima and {} maxima", kSource, name, count,
          encoding.min.size(), encoding.max.size());
  require(encoding.type != EncodingType::per_tensor || count <= 1,
          "{}: {} is per tensor, but has {} scales", kSource, name, count);
  for (const auto* numbers : {&encoding.scale, &encoding.min, &encoding.max})
    for (const double number : *numbers)
      require(std::isfinite(number), "{}: {} has a number that is not finite", kSource, name);
}

namespace {

/// One entry of the 0.6.1 layout: a channel, or what is known without a range.
Json old_entry(const TensorEncoding& encoding, std::size_t channel) {
  if (encoding.dtype == EncodingDtype::floating)
    return {{"bitwidth", encoding.bitwidth}, {"dtype", "float"}};
  Json entry = {{"bitwidth", encoding.bitwidth}, {"dtype", "int"}};
  if (encoding.scale.empty() && encoding.min.empty()) return entry;
  entry["is_symmetric"] = encoding.is_symmetric ? "True" : "False";
  if (!encoding.min.empty()) {
    entry["min"] = encoding.min[channel];
    entry["max"] = encoding.max[channel];
  }
  if (!encoding.scale.empty()) {
    entry["scale"] = encoding.scale[channel];
    entry["offset"] = encoding.offset[channel];
  }
  return entry;
}

Json old_entries(const TensorEncoding& encoding) {
  check_consistent(encoding);
  require(encoding.type == EncodingType::per_tensor || encoding.type == EncodingType::per_channel,
          "{}: {} is quantized in blocks, which version 0.6.1 cannot express; use 1.0.0", kSource,
          shown_name(encoding.name));
  Json entries = Json::array();
  const std::size_t channels = std::max(encoding.scale.size(), encoding.min.size());
  for (std::size_t i = 0; i < std::max<std::size_t>(channels, 1); ++i)
    entries.push_back(old_entry(encoding, i));
  return entries;
}

Json old_table(const std::vector<TensorEncoding>& encodings) {
  Json table = Json::object();
  for (const TensorEncoding& encoding : encodings) {
    require(!table.contains(encoding.name), "{}: {} appears twice", kSource,
            shown_name(encoding.name));
    table[encoding.name] = old_entries(encoding);
  }
  return table;
}

Json new_entry(const TensorEncoding& encoding) {
  check_consistent(encoding);
  Json entry = {
      {"name", encoding.name}, {"bw", encoding.bitwidth}, {"enc_type", type_name(encoding.type)}};
  if (encoding.dtype == EncodingDtype::floating) {
    entry["dtype"] = "FLOAT";
    return entry;
  }
  entry["dtype"] = "INT";
  if (encoding.scale.empty()) return entry;
  entry["is_sym"] = encoding.is_symmetric;
  entry["scale"] = encoding.scale;
  entry["offset"] = encoding.offset;
  if (encoding.type == EncodingType::per_block || encoding.type == EncodingType::lpbq)
    entry["block_size"] = encoding.block_size;
  if (encoding.type == EncodingType::lpbq) {
    entry["compressed_bw"] = encoding.compressed_bitwidth;
    entry["per_block_int_scale"] = encoding.per_block_int_scale;
  }
  return entry;
}

template <typename MakeEntry>
void append(Json& list, const std::vector<TensorEncoding>& encodings, const MakeEntry& make_entry) {
  std::set<std::string_view> names;
  for (const Json& entry : list) names.insert(entry["name"].get_ref<const std::string&>());
  for (const TensorEncoding& encoding : encodings) {
    require(names.insert(encoding.name).second, "{}: {} appears twice", kSource,
            shown_name(encoding.name));
    list.push_back(make_entry(encoding));
  }
}

Json new_list(const std::vector<TensorEncoding>& encodings) {
  Json list = Json::array();
  append(list, encodings, new_entry);
  return list;
}

Json producer_json(const Producer& producer) {
  return {{"package", producer.package}, {"version", producer.version}};
}

/// Version 2 has no excluded layers and arguments in AIMET; what is known is written all the same.
Json flat_file(const EncodingsFile& file, const Json& args) {
  Json list = Json::array();
  const auto entry = [&](const TensorEncoding& encoding) {
    return entry_2(encoding, file.version);
  };
  append(list, file.activations, entry);
  append(list, file.parameters, entry);
  Json root = {{"version", to_string(file.version)}, {"encodings", std::move(list)}};
  if (!file.excluded_layers.empty()) root["excluded_layers"] = file.excluded_layers;
  if (file.producer) root["producer"] = producer_json(*file.producer);
  if (!args.is_null()) root["quantizer_args"] = args;
  return root;
}

Json args_json(const QuantizerArgs& args) {
  return {{"activation_bitwidth", args.activation_bitwidth},
          {"dtype", args.dtype},
          {"is_symmetric", args.is_symmetric},
          {"param_bitwidth", args.param_bitwidth},
          {"per_channel_quantization", args.per_channel_quantization},
          {"quant_scheme", args.quant_scheme}};
}

constexpr std::array<std::pair<EncodingsVersion, std::string_view>, 4> kVersions = {{
    {EncodingsVersion::v0_6_1, "0.6.1"},
    {EncodingsVersion::v1_0_0, "1.0.0"},
    {EncodingsVersion::v2_0_0, "2.0.0"},
    {EncodingsVersion::v2_1_0, "2.1.0"},
}};

}  // namespace

std::string_view to_string(EncodingsVersion version) {
  for (const auto& [known, text] : kVersions)
    if (known == version) return text;
  return "unknown";
}

bool is_version_2(EncodingsVersion version) { return version >= EncodingsVersion::v2_0_0; }

EncodingsVersion encodings_version(std::string_view text) {
  for (const auto& [version, known] : kVersions)
    if (known == text) return version;
  fail("unknown encodings version {}: known are 0.6.1, 1.0.0, 2.0.0 and 2.1.0", shown_name(text));
}

std::string encodings_text(const EncodingsFile& file) {
  const Json args = file.quantizer_args ? args_json(*file.quantizer_args) : Json();
  if (is_version_2(file.version)) return dump_json(flat_file(file, args), kSource, 4);
  const bool old = file.version == EncodingsVersion::v0_6_1;
  Json root = {{"version", to_string(file.version)}, {"excluded_layers", file.excluded_layers}};
  root["activation_encodings"] = old ? old_table(file.activations) : new_list(file.activations);
  root["param_encodings"] = old ? old_table(file.parameters) : new_list(file.parameters);
  if (file.producer) root["producer"] = producer_json(*file.producer);
  if (!args.is_null()) root["quantizer_args"] = args;
  return dump_json(root, kSource, 4);
}

std::string encodings_text(const ModuleEncodingsFile& file) {
  Json activations = Json::object();
  for (const ModuleEncoding& entry : file.activations) {
    TensorEncoding encoding = entry.encoding;
    encoding.name = entry.module;
    require(encoding.type == EncodingType::per_tensor, "{}: the activation {} must be per tensor",
            kSource, shown_name(entry.module));
    const char* side = entry.side == ModuleEncoding::Side::input ? "input" : "output";
    Json& slot = activations[entry.module][side][std::to_string(entry.index)];
    require(slot.is_null(), "{}: {} {} {} appears twice", kSource, shown_name(entry.module), side,
            entry.index);
    slot = old_entries(encoding)[0];
  }
  Json root = {{"activation_encodings", std::move(activations)},
               {"param_encodings", old_table(file.parameters)}};
  if (file.producer) root["producer"] = producer_json(*file.producer);
  if (file.version) {
    root["version"] = to_string(*file.version);
    root["excluded_layers"] = file.excluded_layers;
    if (file.quantizer_args) root["quantizer_args"] = args_json(*file.quantizer_args);
  }
  return dump_json(root, kSource, 4);
}

}  // namespace rung::io
