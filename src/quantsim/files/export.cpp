#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "core/check.h"
#include "io/onnx/export/export_model.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "quantsim/bias_room.h"
#include "quantsim/files/bias_encodings.h"
#include "quantsim/files/derived_entries.h"
#include "quantsim/files/file_content.h"
#include "quantsim/files/file_entries.h"
#include "quantsim/files/module_names.h"
#include "quantsim/impl.h"
#include "rung/io/text_file.h"
#include "rung/io/weights.h"
#include "rung/quantsim/quantsim.h"
#include "rung/version.h"

namespace rung {

namespace {

/// Collects the entries of quantizers in both keyings.
class Collector {
 public:
  explicit Collector(Graph& graph, ActivationCodes of_activations = ActivationCodes::unsigned_codes)
      : graph_(graph), signed_activations_(of_activations == ActivationCodes::signed_codes) {}

  void add(const QuantizerHandle& quantizer) {
    const std::vector<std::string> keys = quantsim::tensor_keys(quantizer);
    const bool is_parameter = quantizer.place() == QuantizerPlace::parameter;
    const Encoding encoding = quantizer.encoding();
    io::TensorEncoding entry = quantsim::file_entry(quantizer.source(), encoding);
    const io::TensorEncoding flat = quantsim::flat_file_entry(quantizer.source(), encoding);
    if (!is_parameter && signed_activations_ && entry.dtype == io::EncodingDtype::integer)
      entry.is_signed = true;
    if (is_parameter) module_parameters.push_back(flat);
    if (!is_parameter)
      for (const quantsim::ModuleKey& key : quantsim::module_keys(quantizer))
        modules.push_back({key.module, key.side, key.index, flat});
    // Several edges of one value usually have equal quantizers: one entry says it. If somebody made
    // them differ, the others go under the name of the quantized tensor.
    const auto [known, is_new] = by_name_.try_emplace(entry.name, entry);
    if (!is_new && known->second == entry) return;
    if (!is_new) entry.name = keys.back();
    (is_parameter ? parameters : activations).push_back(std::move(entry));
  }

  /// Adds the entries that follow from those that are there.
  void derive(DerivedEntries which, io::EncodingsVersion version) {
    if (which == DerivedEntries::none) return;
    std::vector<io::TensorEncoding> known = activations;
    known.insert(known.end(), parameters.begin(), parameters.end());
    std::vector<quantsim::DerivedEntry> derived = quantsim::derived_entries(graph_, known);
    if (which == DerivedEntries::loadable)
      derived = quantsim::strictly_loadable(std::move(derived), graph_, known, version);
    for (quantsim::DerivedEntry& each : derived) {
      by_name_.emplace(each.entry.name, each.entry);
      activations.push_back(std::move(each.entry));
    }
  }

  /// Gives activations without a quantizer the bitwidth and dtype of the quantizer behind the only
  /// op that reads them, as far as that goes on.
  void propagate() {
    for (const Value* value : graph_.values()) {
      if (value->parameter() != nullptr || by_name_.contains(value->name())) continue;
      const Value* end = value;
      while (end->uses().size() == 1 && !end->uses()[0].node->as<QuantizeDequantize>())
        end = &end->uses()[0].node->output();
      const auto found = by_name_.find(end->name());
      const bool is_quantizer =
          value->producer() != nullptr && value->producer()->as<QuantizeDequantize>() != nullptr;
      if (end == value || found == by_name_.end() || is_quantizer) continue;
      io::TensorEncoding entry;
      entry.name = value->name();
      entry.bitwidth = found->second.bitwidth;
      activations.push_back(std::move(entry));
    }
  }

  std::vector<io::TensorEncoding> activations, parameters;  // keyed by tensor
  std::vector<io::ModuleEncoding> modules;                  // keyed by module
  std::vector<io::TensorEncoding> module_parameters;

 private:
  Graph& graph_;
  bool signed_activations_;
  std::map<std::string, io::TensorEncoding> by_name_;
};

/// Throws Error unless each quantized tensor has an entry and each entry a tensor of the graph.
void check_complete(Graph& graph, const Collector& collector) {
  std::set<std::string_view> names;
  for (const auto* list : {&collector.activations, &collector.parameters})
    for (const io::TensorEncoding& entry : *list) {
      require(graph.find_value(entry.name) != nullptr, "export_to: {} is not a tensor of the graph",
              entry.name);
      names.insert(entry.name);
    }
  for (const io::ModuleEncoding& entry : collector.modules)
    require(graph.find_node(entry.module) != nullptr, "export_to: {} is not a node of the graph",
            entry.module);
  for (const QuantizerHandle& each : find_quantizers(graph))
    require(!each.works() || names.contains(each.source().name()),
            "export_to: the quantized tensor {} has no entry", each.source().name());
}

/// Gives modules the names that they have in a file, where only names differ.
void name_as_in(const std::string& path, const Graph& graph,
                std::vector<io::ModuleEncoding>& entries) {
  const quantsim::FileContent content = quantsim::read_content(path);
  require(content.by_module, "{}: is keyed by tensor; names of modules are in {}", content.source,
          "the files of save_encodings_to_json and *_torch.encodings");
  std::map<std::string, std::string> theirs;
  for (const auto& [name, own] : quantsim::renamed_modules(quantsim::modules_of(content), graph))
    theirs.emplace(own, name);
  for (io::ModuleEncoding& entry : entries)
    if (const auto found = theirs.find(entry.module); found != theirs.end())
      entry.module = found->second;
}

Collector collect(Graph& graph, ActivationCodes of_activations = ActivationCodes::unsigned_codes) {
  Collector collector(graph, of_activations);
  for (const QuantizerHandle& each : find_quantizers(graph))
    if (each.works()) collector.add(each);
  return collector;
}

/// Returns what files call a scheme. AIMET of today has the name of what range learning begins
/// with.
std::string scheme_name(QuantScheme scheme, const ConfigRules& rules) {
  if (!rules.current_scheme_names || scheme.quantizer != "affine")
    return aimet_name(scheme, rules.tf_enhanced);
  if (scheme.estimator == "min_max") return "min_max";
  scheme.learn = false;
  return aimet_name(scheme, rules.tf_enhanced);
}

io::QuantizerArgs quantizer_args(const QuantSimOptions& options, const QuantSimConfig& config) {
  const auto has_channels = [](const auto& op) {
    return op.second.per_channel_quantization.value_or(false);
  };
  return {.activation_bitwidth = options.default_output_bw,
          .param_bitwidth = options.default_param_bw,
          .dtype = options.default_data_type == QuantizationDataType::floating ? "float" : "int",
          .is_symmetric = config.default_params.is_symmetric.value_or(false),
          .per_channel_quantization =
              config.per_channel_quantization || std::ranges::any_of(config.op_type, has_channels),
          .quant_scheme = scheme_name(options.quant_scheme, config.rules)};
}

void check_prefix(std::string_view method, const std::string& prefix) {
  require(!prefix.empty() && prefix.find('/') == std::string::npos,
          "{}: the prefix must be a file name, got '{}'", method, prefix);
}

struct OnnxFile {
  std::string name, content;
};

std::vector<OnnxFile> onnx_models(const Graph& graph, const std::string& prefix,
                                  const ExportOptions& options) {
  std::vector<OnnxFile> files;
  const auto add = [&](std::string_view suffix, io::OnnxQuantizers quantizers) {
    try {
      files.push_back(
          {fmt::format("{}{}", prefix, suffix),
           io::onnx_model(graph, {.quantizers = quantizers,
                                  .codes = options.onnx_codes,
                                  .opset = options.onnx_opset,
                                  .int32_bias = options.export_int32_bias.value_or(true)})});
    } catch (const Error& error) {
      fail("export_to: {}{}: {} (or leave that file out: export_onnx, export_qdq_onnx)", prefix,
           suffix, error.what());
    }
  };
  if (options.export_model && options.export_onnx) add(".onnx", io::OnnxQuantizers::baked);
  if (options.export_model && options.export_qdq_onnx) add("_qdq.onnx", io::OnnxQuantizers::qdq);
  return files;
}

std::filesystem::path make_folder(std::string_view method, const std::string& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  require(!failure, "{}: cannot create the folder {}: {}", method, directory, failure.message());
  return directory;
}

}  // namespace

std::vector<std::string> QuantizationSimModel::export_to(const std::string& directory,
                                                         const std::string& prefix,
                                                         const ExportOptions& options) const {
  const std::string& encodings_prefix =
      options.filename_prefix_encodings.empty() ? prefix : options.filename_prefix_encodings;
  check_prefix("export_to", prefix);
  check_prefix("export_to", encodings_prefix);
  const io::EncodingsVersion version = io::encodings_version(options.encodings_version);
  Graph graph = quantsim::folded_copy(impl_->graph);
  const bool is_version_2 = io::is_version_2(version);
  const bool has_biases = options.export_int32_bias.value_or(
      is_version_2 && options.derived != DerivedEntries::loadable);
  if (has_biases || (options.export_qdq_onnx && options.export_int32_bias.value_or(true)))
    quantsim::make_room_for_biases(graph, quantsim::Frozen::changed);
  Collector collector = collect(graph, options.force_activation_as);
  check_complete(graph, collector);
  collector.derive(options.derived, version);
  if (options.propagate_encodings) collector.propagate();
  if (has_biases)
    for (io::TensorEncoding& bias : quantsim::bias_encodings(graph))
      collector.parameters.push_back(std::move(bias));
  if (!options.module_names_of.empty())
    name_as_in(options.module_names_of, graph, collector.modules);

  const io::QuantizerArgs args = quantizer_args(impl_->options, impl_->config);
  io::EncodingsFile tensors{.version = version,
                            .producer = io::Producer{"rung", RUNG_VERSION},
                            .activations = std::move(collector.activations),
                            .parameters = std::move(collector.parameters),
                            .excluded_layers = impl_->excluded_layers,
                            .quantizer_args = args};
  if (is_version_2) tensors.quantizer_args.reset();  // AIMET's has none
  const io::ModuleEncodingsFile modules{.version = version,
                                        .activations = std::move(collector.modules),
                                        .parameters = std::move(collector.module_parameters),
                                        .excluded_layers = impl_->excluded_layers,
                                        .quantizer_args = args};
  // What may fail is made before the first file is touched.
  const std::string tensors_text = io::encodings_text(tensors);
  const std::string modules_text = io::encodings_text(modules);
  const std::vector<OnnxFile> onnx_files = onnx_models(graph, prefix, options);

  const std::filesystem::path folder = make_folder("export_to", directory);
  const std::filesystem::path weights_path = folder / (prefix + ".safetensors");
  const std::filesystem::path tensors_path = folder / (encodings_prefix + ".encodings");
  const std::filesystem::path modules_path = folder / (encodings_prefix + "_torch.encodings");
  std::vector<std::string> written;
  if (options.export_model) {
    io::save_weights(graph, weights_path);  // master weights, never quantized
    written.push_back(weights_path.string());
  }
  io::write_text_file(tensors_path, tensors_text);
  io::write_text_file(modules_path, modules_text);
  written.push_back(tensors_path.string());
  written.push_back(modules_path.string());
  for (const OnnxFile& file : onnx_files) {
    io::write_text_file(folder / file.name, file.content);
    written.push_back((folder / file.name).string());
  }
  return written;
}

std::string QuantizationSimModel::export_weights_to_safetensors(const std::string& directory,
                                                                const std::string& prefix) const {
  check_prefix("export_weights_to_safetensors", prefix);
  const std::filesystem::path path =
      make_folder("export_weights_to_safetensors", directory) / (prefix + ".safetensors");
  io::save_weights(quantsim::folded_copy(impl_->graph), path);
  return path.string();
}

io::ModuleEncodingsFile QuantizationSimModel::get_activation_param_encodings() const {
  Graph graph = quantsim::folded_copy(impl_->graph);
  Collector collector(graph);
  for (const QuantizerHandle& each : find_quantizers(graph))
    if (each.works() && each.initialized()) collector.add(each);
  return {.version = {},
          .activations = std::move(collector.modules),
          .parameters = std::move(collector.module_parameters),
          .excluded_layers = {},
          .quantizer_args = {}};
}

std::string QuantizationSimModel::save_encodings_to_json(const std::string& directory,
                                                         const std::string& prefix) const {
  check_prefix("save_encodings_to_json", prefix);
  Graph graph = quantsim::folded_copy(impl_->graph);
  Collector collector = collect(graph);
  const std::string text = io::encodings_text(
      io::ModuleEncodingsFile{.version = {},
                              .activations = std::move(collector.modules),
                              .parameters = std::move(collector.module_parameters)});
  const std::filesystem::path path =
      make_folder("save_encodings_to_json", directory) / (prefix + ".json");
  io::write_text_file(path, text);
  return path.string();
}

}  // namespace rung
