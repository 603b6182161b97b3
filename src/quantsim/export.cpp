#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "core/format.h"
#include "io/atomic_file.h"
#include "quantsim/batch_norm_fold.h"
#include "quantsim/impl.h"
#include "rung/io/encodings.h"
#include "rung/io/weights.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

/// Turns an encoding into what stands in AIMET's files: unsigned codes and the effective range.
io::TensorEncoding file_encoding(std::string name, const Encoding& encoding) {
  io::TensorEncoding entry;
  entry.name = std::move(name);
  entry.type =
      encoding.per_channel() ? io::EncodingType::per_channel : io::EncodingType::per_tensor;
  entry.bitwidth = encoding.bitwidth;
  entry.is_symmetric = encoding.symmetry != Symmetry::asymmetric;
  for (std::int64_t c = 0; c < encoding.channels(); ++c) {
    const Range range = encoding.effective_range(c);
    entry.min.push_back(range.min);
    entry.max.push_back(range.max);
    entry.scale.push_back(encoding.scale[static_cast<std::size_t>(c)]);
    entry.offset.push_back(encoding.file_offset(c));
  }
  return entry;
}

/// Returns the module, side and index that AIMET files an activation quantizer under.
io::ModuleEncoding module_encoding(const QuantizerHandle& quantizer, io::TensorEncoding entry) {
  io::ModuleEncoding result;
  const bool is_edge = quantizer.place() == QuantizerPlace::edge;
  if (is_edge) {
    const Use use = quantizer.node().output().uses()[0];
    result.module = use.node->name();
    result.index = static_cast<std::int64_t>(use.index);
  } else {
    result.module = quantizer.source().producer()->name();
    result.index = static_cast<std::int64_t>(quantizer.source().output_index());
  }
  result.side = is_edge ? io::ModuleEncoding::Side::input : io::ModuleEncoding::Side::output;
  result.encoding = std::move(entry);
  return result;
}

class Collector {
 public:
  explicit Collector(const Graph& graph) : graph_(graph) {}

  void add(const QuantizerHandle& quantizer) {
    io::TensorEncoding entry = file_encoding(quantizer.source().name(), quantizer.encoding());
    if (quantizer.place() == QuantizerPlace::parameter) {
      parameters.push_back(std::move(entry));
      check_name(parameters.back().name);
      return;
    }
    modules.push_back(module_encoding(quantizer, entry));
    // Several edges of one value usually have equal quantizers: one entry says it. If somebody made
    // them differ, the others go under the name of the quantized tensor.
    const auto [known, is_new] = by_name_.try_emplace(entry.name, entry);
    if (!is_new && known->second == entry) return;
    if (!is_new) entry.name = quantizer.node().output().name();
    check_name(entry.name);
    activations.push_back(std::move(entry));
  }

  std::vector<io::TensorEncoding> activations, parameters;
  std::vector<io::ModuleEncoding> modules;

 private:
  void check_name(const std::string& name) const {
    require(graph_.find_value(name) != nullptr, "export_to: {} is not a tensor of the graph", name);
  }

  const Graph& graph_;
  std::map<std::string, io::TensorEncoding> by_name_;
};

io::QuantizerArgs quantizer_args(const QuantSimOptions& options, const QuantSimConfig& config) {
  return {.activation_bitwidth = options.default_output_bw,
          .param_bitwidth = options.default_param_bw,
          .is_symmetric = config.default_params.is_symmetric.value_or(false),
          .per_channel_quantization = config.per_channel_quantization,
          .quant_scheme = std::string(to_string(options.quant_scheme))};
}

}  // namespace

std::vector<std::string> QuantizationSimModel::export_to(const std::string& directory,
                                                         const std::string& prefix,
                                                         const ExportOptions& options) const {
  require(!prefix.empty() && prefix.find('/') == std::string::npos,
          "export_to: the prefix must be a file name, got '{}'", prefix);
  const io::EncodingsVersion version = io::encodings_version(options.encodings_version);
  Graph graph = quantsim::folded_copy(impl_->graph);
  Collector collector(graph);
  for (const QuantizerHandle& each : find_quantizers(graph))
    if (each.enabled() && !each.op().quantizer().pass_through()) collector.add(each);

  const io::QuantizerArgs args = quantizer_args(impl_->options, impl_->config);
  io::EncodingsFile tensors{.version = version,
                            .activations = std::move(collector.activations),
                            .parameters = collector.parameters,
                            .excluded_layers = {},
                            .quantizer_args = args};
  io::ModuleEncodingsFile modules{.version = version,
                                  .activations = std::move(collector.modules),
                                  .parameters = std::move(collector.parameters),
                                  .excluded_layers = {},
                                  .quantizer_args = args};
  // Both texts are made before the first file is touched.
  const std::string tensors_text = io::encodings_text(tensors);
  const std::string modules_text = io::encodings_text(modules);

  const std::filesystem::path folder(directory);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  require(!failure, "export_to: cannot create the folder {}: {}", directory, failure.message());
  const std::filesystem::path weights_path = folder / (prefix + ".safetensors");
  const std::filesystem::path tensors_path = folder / (prefix + ".encodings");
  const std::filesystem::path modules_path = folder / (prefix + "_torch.encodings");
  io::save_weights(graph, weights_path);  // master weights, never quantized
  io::write_text_file(tensors_path, tensors_text);
  io::write_text_file(modules_path, modules_text);
  return {weights_path.string(), tensors_path.string(), modules_path.string()};
}

}  // namespace rung
