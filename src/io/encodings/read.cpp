#include <charconv>
#include <cmath>

#include "core/check.h"
#include "io/encodings/entry.h"
#include "io/files/names.h"

namespace rung::io {

double positive_at(const JsonPlace& place) {
  const double value = place.float32();
  if (!(value > 0)) place.refuse("must be larger than 0");
  return value;
}

void fill_ranges(TensorEncoding& encoding, const JsonPlace& entry) {
  const std::int64_t half = std::int64_t{1} << (encoding.bitwidth - 1);
  for (std::size_t i = 0; i < encoding.scale.size(); ++i) {
    const auto scale = static_cast<float>(encoding.scale[i]);
    // A strict symmetric grid has one code less, which its offset tells.
    const bool is_strict = encoding.is_symmetric && encoding.offset[i] == 1 - half;
    const std::int64_t steps = 2 * half - (is_strict ? 2 : 1);
    encoding.min.push_back(scale * static_cast<float>(encoding.offset[i]));
    encoding.max.push_back(scale * static_cast<float>(encoding.offset[i] + steps));
    if (!std::isfinite(encoding.min.back()) || !std::isfinite(encoding.max.back()))
      entry.refuse(fmt::format("has the scale {}, {} steps of which are more than float32 holds",
                               encoding.scale[i], steps));
  }
}

namespace {

/// Reads an offset, which aimet-onnx writes as -128.0.
std::int64_t offset_at(const JsonPlace& place) {
  const double number = place.number();
  const bool is_whole = std::abs(number) <= INT32_MAX && number == std::trunc(number);
  return is_whole ? static_cast<std::int64_t>(number) : place.integer(INT32_MIN, INT32_MAX);
}

/// AIMET writes is_symmetric as the text "True" or "False"; a real boolean is understood as well.
bool python_bool(const JsonPlace& place) {
  if (place.json().is_boolean()) return place.boolean();
  const std::string& text = place.string();
  if (text != "True" && text != "False") place.refuse("must be \"True\" or \"False\"");
  return text == "True";
}

EncodingDtype dtype_at(const JsonPlace& place) {
  const std::string& text = place.string();
  if (text == "int" || text == "INT") return EncodingDtype::integer;
  if (text != "float" && text != "FLOAT") place.refuse("must be int or float");
  return EncodingDtype::floating;
}

/// What one entry of the 0.6.1 layout says; the first entry of a list decides what all must say.
struct OldEntry {
  explicit OldEntry(const JsonPlace& entry)
      : dtype(dtype_at(entry["dtype"])),
        bitwidth(entry["bitwidth"].integer(1, kMaxEncodingBitwidth)),
        has_range(dtype == EncodingDtype::integer && (entry.has("min") || entry.has("max"))),
        has_grid(dtype == EncodingDtype::integer && (entry.has("scale") || entry.has("offset"))),
        is_symmetric((has_range || has_grid) && python_bool(entry["is_symmetric"])) {}
  friend bool operator==(const OldEntry&, const OldEntry&) = default;

  EncodingDtype dtype;
  std::int64_t bitwidth;
  bool has_range, has_grid, is_symmetric;
};

void append(TensorEncoding& encoding, const OldEntry& facts, const JsonPlace& entry) {
  if (facts.has_range) {
    encoding.min.push_back(entry["min"].float32());
    encoding.max.push_back(entry["max"].float32());
    if (encoding.max.back() < encoding.min.back()) entry.refuse("has max < min");
  }
  if (facts.has_grid) {
    encoding.scale.push_back(positive_at(entry["scale"]));
    encoding.offset.push_back(offset_at(entry["offset"]));
  }
}

TensorEncoding parse_old(std::string name, const JsonPlace& first) {
  const OldEntry facts(first);
  TensorEncoding encoding;
  encoding.name = std::move(name);
  encoding.dtype = facts.dtype;
  encoding.bitwidth = facts.bitwidth;
  encoding.is_symmetric = facts.is_symmetric;
  append(encoding, facts, first);
  return encoding;
}

std::vector<TensorEncoding> parse_old_table(const JsonPlace& table) {
  std::vector<TensorEncoding> encodings;
  for (const auto& [name, list] : table.object().json().items()) {
    const JsonPlace entries = table[name].array();
    if (entries.size() == 0) entries.refuse("is empty");
    TensorEncoding encoding = parse_old(name, entries[0]);
    const OldEntry facts(entries[0]);
    if (entries.size() > 1) encoding.type = EncodingType::per_channel;
    for (std::size_t i = 1; i < entries.size(); ++i) {
      if (!(OldEntry(entries[i]) == facts))
        entries[i].refuse("has another dtype, bitwidth, symmetry or set of keys than element 0");
      append(encoding, facts, entries[i]);
    }
    encodings.push_back(std::move(encoding));
  }
  return encodings;
}

EncodingType type_at(const JsonPlace& place) {
  const std::string& text = place.string();
  if (text == "PER_TENSOR") return EncodingType::per_tensor;
  if (text == "PER_CHANNEL") return EncodingType::per_channel;
  if (text == "PER_BLOCK") return EncodingType::per_block;
  if (text != "LPBQ")
    place.refuse("must be PER_TENSOR, PER_CHANNEL, PER_BLOCK or LPBQ, got " + shown_name(text));
  return EncodingType::lpbq;
}

void parse_blocks(TensorEncoding& encoding, const JsonPlace& entry) {
  if (encoding.type == EncodingType::per_block || encoding.type == EncodingType::lpbq)
    encoding.block_size = entry["block_size"].integer(1);
  if (encoding.type != EncodingType::lpbq) return;
  encoding.compressed_bitwidth = entry["compressed_bw"].integer(1, encoding.bitwidth);
  const JsonPlace scales = entry["per_block_int_scale"].array();
  const std::int64_t largest = std::int64_t{1}
                               << (encoding.bitwidth - encoding.compressed_bitwidth);
  for (std::size_t i = 0; i < scales.size(); ++i)
    encoding.per_block_int_scale.push_back(scales[i].integer(1, largest));
}

TensorEncoding parse_new(const JsonPlace& entry) {
  TensorEncoding encoding;
  encoding.name = entry["name"].string();
  encoding.dtype = dtype_at(entry["dtype"]);
  encoding.type = type_at(entry["enc_type"]);
  encoding.bitwidth = entry["bw"].integer(1, kMaxEncodingBitwidth);
  if (encoding.dtype == EncodingDtype::floating || !entry.has("scale")) return encoding;

  encoding.is_symmetric = entry["is_sym"].boolean();
  const JsonPlace scales = entry["scale"].array(), offsets = entry["offset"].array();
  if (scales.size() == 0 || scales.size() != offsets.size())
    entry.refuse(fmt::format("has {} scales and {} offsets", scales.size(), offsets.size()));
  if (encoding.type == EncodingType::per_tensor && scales.size() != 1)
    entry.refuse(fmt::format("is PER_TENSOR, but has {} scales", scales.size()));
  for (std::size_t i = 0; i < scales.size(); ++i) {
    encoding.scale.push_back(positive_at(scales[i]));
    encoding.offset.push_back(offset_at(offsets[i]));
  }
  fill_ranges(encoding, entry);
  parse_blocks(encoding, entry);
  return encoding;
}

template <typename ParseEntry>
std::vector<TensorEncoding> parse_list(const JsonPlace& list, const ParseEntry& parse_entry) {
  std::vector<TensorEncoding> encodings;
  for (std::size_t i = 0; i < list.array().size(); ++i) encodings.push_back(parse_entry(list[i]));
  return encodings;
}

EncodingsVersion version_at(const JsonPlace& place) {
  const std::string& text = place.string();
  for (const EncodingsVersion version : {EncodingsVersion::v0_6_1, EncodingsVersion::v1_0_0,
                                         EncodingsVersion::v2_0_0, EncodingsVersion::v2_1_0})
    if (text == to_string(version)) return version;
  place.refuse(R"(must be "0.6.1", "1.0.0", "2.0.0" or "2.1.0", got )" + shown_name(text));
}

/// Reads what both kinds of files have beside the encodings.
template <typename File>
void parse_frame(File& file, const JsonPlace& root) {
  if (root.has("producer")) {
    const JsonPlace producer = root["producer"];
    file.producer = Producer{producer["package"].string(), producer["version"].string()};
  }
  if (root.has("excluded_layers")) {
    const JsonPlace layers = root["excluded_layers"].array();
    for (std::size_t i = 0; i < layers.size(); ++i)
      file.excluded_layers.push_back(layers[i].string());
  }
  if (!root.has("quantizer_args")) return;
  const JsonPlace args = root["quantizer_args"];
  file.quantizer_args = QuantizerArgs{
      .activation_bitwidth = args["activation_bitwidth"].integer(1, kMaxEncodingBitwidth),
      .param_bitwidth = args["param_bitwidth"].integer(1, kMaxEncodingBitwidth),
      .dtype = args["dtype"].string(),
      .is_symmetric = args["is_symmetric"].boolean(),
      .per_channel_quantization = args["per_channel_quantization"].boolean(),
      .quant_scheme = args["quant_scheme"].string()};
}

/// Reads {"0": {...}, "1": {...}} of one side of a module.
void parse_side(std::vector<ModuleEncoding>& out, const std::string& module,
                ModuleEncoding::Side side, const JsonPlace& slots) {
  for (const auto& [key, unused] : slots.object().json().items()) {
    ModuleEncoding entry{.module = module, .side = side, .index = 0, .encoding = {}};
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), entry.index);
    if (error != std::errc() || end != key.data() + key.size() || entry.index < 0)
      slots.refuse(fmt::format("has the key {}, expected an index", shown_name(key)));
    entry.encoding = parse_old({}, slots[key]);
    out.push_back(std::move(entry));
  }
}

EncodingsFile tensor_file(const JsonPlace& root) {
  EncodingsFile file;
  file.version = version_at(root["version"]);
  if (is_version_2(file.version)) {
    file.activations = parse_list(root["encodings"], parse_entry_2);
  } else {
    const JsonPlace activations = root["activation_encodings"], params = root["param_encodings"];
    const bool old = file.version == EncodingsVersion::v0_6_1;
    file.activations = old ? parse_old_table(activations) : parse_list(activations, parse_new);
    file.parameters = old ? parse_old_table(params) : parse_list(params, parse_new);
  }
  parse_frame(file, root);
  return file;
}

ModuleEncodingsFile module_file(const JsonPlace& root) {
  ModuleEncodingsFile file;
  file.version.reset();
  if (root.has("version")) file.version = version_at(root["version"]);
  const JsonPlace modules = root["activation_encodings"].object();
  for (const auto& [module, unused] : modules.json().items()) {
    const JsonPlace sides = modules[module];
    if (sides.has("input"))
      parse_side(file.activations, module, ModuleEncoding::Side::input, sides["input"]);
    if (sides.has("output"))
      parse_side(file.activations, module, ModuleEncoding::Side::output, sides["output"]);
  }
  file.parameters = parse_old_table(root["param_encodings"]);
  parse_frame(file, root);
  return file;
}

/// True if activations are filed under modules: {"conv1": {"output": ..}}, not under tensors.
bool is_keyed_by_module(const JsonPlace& root) {
  if (!root.has("activation_encodings")) return false;
  const Json& activations = root["activation_encodings"].json();
  return activations.is_object() && (activations.empty() || activations.begin()->is_object());
}

}  // namespace

EncodingsFile parse_encodings(std::string_view text, std::string_view source) {
  const Json json = parse_json(text, source);
  return tensor_file(JsonPlace(json, std::string(source)));
}

ModuleEncodingsFile parse_module_encodings(std::string_view text, std::string_view source) {
  const Json json = parse_json(text, source);
  return module_file(JsonPlace(json, std::string(source)));
}

std::variant<EncodingsFile, ModuleEncodingsFile> parse_any_encodings(std::string_view text,
                                                                     std::string_view source) {
  const Json json = parse_json(text, source);
  const JsonPlace root(json, std::string(source));
  if (is_keyed_by_module(root)) return module_file(root);
  if (root.has("version") || root.has("encodings") || root.has("param_encodings"))
    return tensor_file(root);
  ModuleEncodingsFile file;
  file.version.reset();
  file.parameters = parse_old_table(root);
  return file;
}

}  // namespace rung::io
