#include "rung/quantsim/quantsim.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "io/files/json.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "quantsim/impl.h"
#include "quantsim/placement/insert_quantizers.h"
#include "rung/core/closest.h"

namespace rung {

namespace {

constexpr int kStateVersion = 1;

void check_bitwidth(int bitwidth, std::string_view option) {
  require(bitwidth >= 2 && bitwidth <= 32, "QuantizationSimModel: {} must be 2..32, got {}", option,
          bitwidth);
}

bool is_float(const QuantSimOptions& options) {
  return options.default_data_type == QuantizationDataType::floating;
}
bool is_stochastic(const QuantSimOptions& options) {
  return options.rounding_mode == RoundingMode::stochastic;
}
bool is_recomputed(const QuantSimOptions& options) {
  return options.weight_ranges == WeightRanges::recomputed;
}

void check_options(const QuantSimOptions& options) {
  try {
    check_quant_scheme(options.quant_scheme);
  } catch (const Error& error) {
    fail("QuantizationSimModel: quant_scheme: {}", error.what());
  }
  check_bitwidth(options.default_output_bw, "default_output_bw");
  check_bitwidth(options.default_param_bw, "default_param_bw");
  if (options.edge_bw) check_bitwidth(*options.edge_bw, "edge_bw");
  if (is_float(options)) {
    for (const int bitwidth : {options.default_output_bw, options.default_param_bw})
      require(
          bitwidth == 16 || bitwidth == 32,
          "QuantizationSimModel: default_data_type floating needs bitwidths of 16 or 32, got {}",
          bitwidth);
    require(!options.edge_bw, "QuantizationSimModel: edge_bw is for integers only");
  }
  require(
      !is_recomputed(options) || !options.quant_scheme.learn,
      "QuantizationSimModel: {} learns the ranges of weights; they cannot be recomputed as well",
      to_string(options.quant_scheme));
}

BatchNormMode batch_norm_mode(const io::JsonPlace& place) {
  for (const BatchNormMode mode : {BatchNormMode::keep, BatchNormMode::fold_in_simulation})
    if (place.string() == to_string(mode)) return mode;
  place.refuse("must be keep or fold_in_simulation");
}

Graph quantized_copy(const Graph& model, const QuantSimConfig& config,
                     const QuantSimOptions& options) {
  check_options(options);
  for (const Node* node : model.nodes())
    require(node->as<QuantizeDequantize>() == nullptr,
            "QuantizationSimModel: the model already has the quantizer {}; give it the float model",
            node->name());
  Graph graph = model.clone();
  std::vector<FoldablePair> pairs;
  if (options.batch_norms == BatchNormMode::fold_in_simulation)
    pairs = quantsim::prepare_folding(graph);
  quantsim::insert_quantizers(graph, config, options);
  quantsim::simulate_folding(graph, pairs);
  graph.set_int32_biases(options.int32_biases);
  return graph;
}

}  // namespace

std::string_view to_string(BatchNormMode mode) {
  return mode == BatchNormMode::keep ? "keep" : "fold_in_simulation";
}

QuantizationSimModel::QuantizationSimModel(const Graph& model, QuantSimOptions options) {
  std::string text = read_config(options.config_file);
  QuantSimConfig config =
      parse_config(text, options.config_file, config_rules(options.config_rules));
  Graph graph = quantized_copy(model, config, options);
  impl_ = std::make_unique<Impl>(std::move(options), std::move(text), std::move(config),
                                 std::move(graph));
}

QuantizationSimModel::QuantizationSimModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
QuantizationSimModel::~QuantizationSimModel() = default;
QuantizationSimModel::QuantizationSimModel(QuantizationSimModel&&) noexcept = default;
QuantizationSimModel& QuantizationSimModel::operator=(QuantizationSimModel&&) noexcept = default;

std::string QuantizationSimModel::state() const {
  io::Json json = {{"version", kStateVersion},
                   {"quant_scheme", to_string(impl_->options.quant_scheme)},
                   {"default_output_bw", impl_->options.default_output_bw},
                   {"default_param_bw", impl_->options.default_param_bw},
                   {"is_float", is_float(impl_->options)},
                   {"is_stochastic", is_stochastic(impl_->options)},
                   {"is_recomputed", is_recomputed(impl_->options)},
                   {"config_file", impl_->options.config_file},
                   {"config_rules", impl_->options.config_rules},
                   {"config", impl_->config_text},
                   {"excluded_layers", impl_->excluded_layers},
                   {"step_count", impl_->executor.step_count()}};
  if (impl_->options.edge_bw) json["edge_bw"] = *impl_->options.edge_bw;
  if (impl_->options.enforce_supported_kernels) json["enforce_supported_kernels"] = true;
  if (impl_->options.batch_norms != BatchNormMode::keep)
    json["batch_norms"] = to_string(impl_->options.batch_norms);
  if (impl_->options.int32_biases) json["int32_biases"] = true;
  if (impl_->is_imported) json["is_imported"] = true;
  return io::dump_json(json, "quantization state");
}

QuantizationSimModel QuantizationSimModel::from_quantized(Graph graph, QuantSimOptions options) {
  require(!find_quantizers(graph).empty(),
          "QuantizationSimModel::from_quantized: the graph has no quantizers");
  check_options(options);
  std::string text = read_config(options.config_file);
  QuantSimConfig config =
      parse_config(text, options.config_file, config_rules(options.config_rules));
  QuantizationSimModel sim(std::make_unique<Impl>(std::move(options), std::move(text),
                                                  std::move(config), std::move(graph)));
  sim.impl_->is_imported = true;
  sim.graph().set_int32_biases(sim.options().int32_biases);
  const bool learns = sim.options().quant_scheme.learn;
  for (QuantizerHandle each : sim.quantizers())
    each.set_learned(learns && each.initialized() && !each.frozen());
  return sim;
}

QuantizationSimModel QuantizationSimModel::from_state(Graph graph, std::string_view state) {
  const io::Json document = io::parse_json(state, "quantization state");
  const io::JsonPlace json(document, "quantization state");
  json.object();
  if (json["version"].integer() != kStateVersion)
    json["version"].refuse(fmt::format("must be {}", kStateVersion));
  QuantSimOptions options;
  options.default_output_bw = static_cast<int>(json["default_output_bw"].integer(2, 32));
  options.default_param_bw = static_cast<int>(json["default_param_bw"].integer(2, 32));
  if (json["is_float"].boolean()) options.default_data_type = QuantizationDataType::floating;
  if (json["is_stochastic"].boolean()) options.rounding_mode = RoundingMode::stochastic;
  if (json["is_recomputed"].boolean()) options.weight_ranges = WeightRanges::recomputed;
  options.config_file = json["config_file"].string();
  // Files that say nothing were made when there was one set, and its estimator had AIMET's name.
  const bool is_old = !json.has("config_rules");
  options.config_rules = is_old ? std::string("2024.10") : json["config_rules"].string();
  const std::string& scheme = json["quant_scheme"].string();
  options.quant_scheme = is_old
                             ? aimet_scheme(scheme, config_rules(options.config_rules).tf_enhanced)
                             : parse_quant_scheme(scheme);
  if (json.has("edge_bw")) options.edge_bw = static_cast<int>(json["edge_bw"].integer(2, 32));
  if (json.has("enforce_supported_kernels"))
    options.enforce_supported_kernels = json["enforce_supported_kernels"].boolean();
  if (json.has("batch_norms")) options.batch_norms = batch_norm_mode(json["batch_norms"]);
  if (json.has("int32_biases")) options.int32_biases = json["int32_biases"].boolean();
  std::string text = json["config"].string();
  QuantSimConfig config =
      parse_config(text, options.config_file, config_rules(options.config_rules));
  std::vector<std::string> excluded;
  if (json.has("excluded_layers")) {
    const io::JsonPlace layers = json["excluded_layers"].array();
    for (std::size_t i = 0; i < layers.size(); ++i) excluded.push_back(layers[i].string());
  }

  require(!excluded.empty() || !find_quantizers(graph).empty(),
          "quantization state: the graph has no quantizers");
  graph.set_int32_biases(options.int32_biases);
  auto impl = std::make_unique<Impl>(std::move(options), std::move(text), std::move(config),
                                     std::move(graph));
  impl->excluded_layers = std::move(excluded);
  impl->is_imported = json.has("is_imported") && json["is_imported"].boolean();
  if (json.has("step_count"))
    impl->executor.set_step_count(static_cast<std::uint64_t>(json["step_count"].integer(0)));
  return QuantizationSimModel(std::move(impl));
}

Graph& QuantizationSimModel::graph() { return impl_->graph; }
const Graph& QuantizationSimModel::graph() const { return impl_->graph; }
Executor& QuantizationSimModel::executor() { return impl_->executor; }
const QuantSimOptions& QuantizationSimModel::options() const { return impl_->options; }
const QuantSimConfig& QuantizationSimModel::config() const { return impl_->config; }

bool QuantizationSimModel::is_imported() const { return impl_->is_imported; }

const std::vector<std::string>& QuantizationSimModel::excluded_layers() const {
  return impl_->excluded_layers;
}

const std::vector<std::string>& QuantizationSimModel::calibration_notes() const {
  return impl_->calibration_notes;
}

void QuantizationSimModel::set_percentile_value(double percentile) {
  require(impl_->options.quant_scheme.estimator == "percentile",
          "set_percentile_value: the scheme is {}, not post_training_percentile",
          to_string(impl_->options.quant_scheme));
  const std::unique_ptr<RangeEstimator> estimator = make_percentile(percentile);
  for (QuantizerHandle& each : quantizers())
    if (each.op().estimator().name() == "percentile") each.op().set_estimator(estimator->clone());
}

std::vector<QuantizerHandle> QuantizationSimModel::quantizers() {
  return find_quantizers(impl_->graph);
}

QuantizerHandle QuantizationSimModel::quantizer(std::string_view name) {
  std::vector<std::string> names;
  for (const QuantizerHandle& each : quantizers()) {
    if (name == each.name() || name == each.node().name() || name == aimet_name(each)) return each;
    names.push_back(each.name());
  }
  fail("there is no quantizer '{}'; similar ones: {}", name, closest_names(name, names));
}

}  // namespace rung
