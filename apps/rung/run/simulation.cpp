#include "run/simulation.h"

#include <fmt/format.h>

#include <utility>

#include "console/messages.h"
#include "rung/core/error.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/config_utils.h"

namespace rung::cli {
namespace {

/// Makes the model what is to be quantized; returns a line for each batch norm that stays although
/// it was to be folded.
std::vector<std::string> prepare(Graph& graph, const SimulationOptions& options) {
  std::vector<ptq::SkippedBatchNorm> skipped;
  if (options.keep_bn)
    freeze_bn_stats(graph);
  else
    skipped = options.fold_bn_in_sim ? ptq::batch_norms_not_simulated(graph)
                                     : ptq::fold_all_batch_norms(graph).skipped;
  std::vector<std::string> lines;
  for (const ptq::SkippedBatchNorm& each : skipped)
    lines.push_back(fmt::format("batch norm {} is not folded: {}", each.batch_norm, each.reason));
  return lines;
}

QuantSimOptions sim_options(const SimulationOptions& options) {
  const ConfigChoice config = choose_config(options.config);
  return {.quant_scheme = scheme_of(options),
          .default_output_bw = options.output_bw,
          .default_param_bw = options.param_bw,
          .default_data_type = options.data_type == "float" ? QuantizationDataType::floating
                                                            : QuantizationDataType::integer,
          .rounding_mode =
              options.rounding == "stochastic" ? RoundingMode::stochastic : RoundingMode::nearest,
          .weight_ranges = options.weight_ranges == "recomputed" ? WeightRanges::recomputed
                                                                 : WeightRanges::fixed,
          .config_file = config.file,
          .config_rules = config.rules,
          .edge_bw = options.edge_bw,
          .batch_norms =
              options.fold_bn_in_sim ? BatchNormMode::fold_in_simulation : BatchNormMode::keep,
          .int32_biases = options.int32_biases};
}

/// Gives weights a scale per block of input channels, where their number allows it.
void set_blocks(QuantizationSimModel& sim, const SimulationOptions& options) {
  if (!options.block_size) return;
  const std::int64_t size = *options.block_size;
  const NodePredicate fits = [&](const Node& node) {
    const std::optional<Weighted> weighted = node.op().traits().weighted;
    return weighted && weighted->output_axis == 0 &&
           node.inputs()[weighted->weight]->shape()[1] % size == 0;
  };
  if (options.decompressed_bw)
    set_grouped_blockwise_quantization_for_weights(
        sim, fits, {.decompressed_bw = *options.decompressed_bw, .block_size = size});
  else
    set_blockwise_quantization_for_weights(sim, fits, {.block_size = size});
}

/// Throws UsageError for what short floats do not have.
void check_floats(const SimulationOptions& options) {
  if (options.data_type != "float") return;
  for (const int bits : {options.output_bw, options.param_bw})
    if (bits != 16 && bits != 32)
      throw UsageError(
          fmt::format("--data-type float needs --output-bw and --param-bw of 16 or "
                      "32, got {}",
                      bits));
  if (options.edge_bw) throw UsageError("--edge-bw is for integers only, not --data-type float");
  if (options.int32_biases)
    throw UsageError("--int32-biases is for integers only, not --data-type float");
}

}  // namespace

SimulationOptions with_names(SimulationOptions options) {
  const ConfigChoice choice = choose_config(options.config);
  options.config.config = choice.file;
  options.config.scheme = choice.scheme;
  return options;
}

void check(const SimulationOptions& options) {
  check_floats(options);
  if (options.weight_ranges == "recomputed" && scheme_of(options).learn)
    throw UsageError(fmt::format(
        "--weight-ranges recomputed: --scheme {} learns the ranges of weights, which cannot be "
        "recomputed as well",
        options.config.scheme));
  if (options.percentile && scheme_of(options).estimator != "percentile")
    throw UsageError("--percentile is for --scheme percentile, got " + options.config.scheme);
  if (options.decompressed_bw && !options.block_size)
    throw UsageError("--decompressed-bw needs --block-size");
}

QuantScheme scheme_of(const SimulationOptions& options) {
  QuantScheme scheme = choose_config(options.config).quant_scheme;
  if (!options.estimator.empty()) scheme.estimator = options.estimator;
  if (!options.quantizer.empty()) {
    scheme.quantizer = options.quantizer;
    scheme.learn = true;
  }
  return scheme;
}

Simulation simulate(const Graph& graph, const SimulationOptions& options) {
  Graph prepared = graph.clone();
  std::vector<std::string> warnings = prepare(prepared, options);
  QuantizationSimModel sim(std::move(prepared), sim_options(options));
  const std::vector<std::string> others = sim.warnings();
  warnings.insert(warnings.end(), others.begin(), others.end());
  for (const std::string& warning : warnings) warn(warning);
  if (sim.quantizers().empty())
    throw Error(
        fmt::format("--config {}: quantizes nothing of this model: its defaults, op_type, "
                    "params, model_input and model_output ask for no quantizer",
                    sim.options().config_file));
  set_blocks(sim, options);
  if (options.percentile) sim.set_percentile_value(*options.percentile);
  return {std::move(sim), std::move(warnings)};
}

}  // namespace rung::cli
