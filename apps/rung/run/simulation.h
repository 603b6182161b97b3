#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "console/command.h"
#include "run/config_choice.h"
#include "rung/quant/registry.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

/// How a model is quantized.
struct SimulationOptions {
  ConfigOptions config;
  std::string estimator, quantizer;
  int param_bw = 8, output_bw = 8;
  std::optional<int> edge_bw;
  std::optional<double> percentile;
  std::string data_type = "int", rounding = "nearest", weight_ranges = "fixed";
  std::optional<std::int64_t> block_size;
  std::optional<int> decompressed_bw;
  bool fold_bn = false, fold_bn_in_sim = false, keep_bn = false;
  bool int32_biases = false;

  template <typename V>
  void visit(V& v) {
    v.group("Quantization");
    v.option("--aimet VERSION", config.aimet,
             "quantize as this version of AIMET does: 2.42 or 2024.10", one_of({"2.42", "2024.10"}),
             affects_result_if_given);
    v.option("--scheme NAME", config.scheme,
             "how ranges are found, see below; default: sqnr, or that version's", check_scheme,
             affects_result);
    v.option("--estimator NAME", estimator, "finds the ranges; default: the scheme's",
             one_of(range_estimator_names()), affects_result_if_given);
    v.option("--quantizer NAME", quantizer,
             "what rung qat trains the parameters of; default: the scheme's",
             one_of(scheme_quantizers()), affects_result_if_given);
    v.option("--param-bw N", param_bw, "bits of weights", between(2, 32), affects_result);
    v.option("--output-bw N", output_bw, "bits of activations", between(2, 32), affects_result);
    v.option("--edge-bw N", edge_bw,
             "bits of the model input, the logits, the first and the last weight layer; "
             "default: as the others",
             between(2, 32), kOrZero);
    v.option("--config NAME|FILE", config.config,
             "where quantizers go: default, per_tensor, others below, or a JSON file as AIMET's",
             {}, affects_result);
    v.option("--percentile P", percentile,
             "scheme percentile: percentage of the numbers to keep at either end", between(50, 100),
             kOrZero);
    v.exclusive_flags(
        {{"--fold-bn", fold_bn, "fold batch norms first (default)"},
         {"--fold-bn-in-sim", fold_bn_in_sim, "quantize folded weights, train batch norms on",
          affects_result},
         {"--keep-bn", keep_bn, "keep batch norms, statistics frozen", affects_result}});
    v.flag("--int32-biases", int32_biases, "simulate the int32 biases that rung export writes",
           affects_result);
    v.option("--data-type NAME", data_type, "int, or float: both bitwidths are then 16 or 32",
             one_of({"int", "float"}), affects_result);
    v.option("--rounding NAME", rounding, "nearest, or stochastic: by chance while rung qat trains",
             one_of({"nearest", "stochastic"}), kLater);
    v.option("--weight-ranges NAME", weight_ranges,
             "fixed, or recomputed: estimated anew at every step of rung qat",
             one_of({"fixed", "recomputed"}), kLater);
    v.option("--block-size N", block_size,
             "a scale per N input channels of weights, where N divides them", between(1, 1e9),
             kOrZero);
    v.option("--decompressed-bw N", decompressed_bw,
             "with --block-size: scales are whole multiples of a channel's (LPBQ)", between(2, 31),
             kOrZero);
  }

 private:
  static constexpr Recorded kOrZero{.when = Recorded::When::always, .unset = "0"};
  static constexpr Recorded kLater{.when = Recorded::When::always, .later = true};
};

/// Returns the options with the names of what they choose, as checkpoints record them.
SimulationOptions with_names(SimulationOptions options);

/// Throws UsageError for options that do not go together.
void check(const SimulationOptions& options);

/// Returns what --scheme, --estimator and --quantizer choose together.
QuantScheme scheme_of(const SimulationOptions& options);

struct Simulation {
  QuantizationSimModel sim;
  std::vector<std::string> warnings;
};

/// Makes the simulation of a float model; what is odd about it is warned of. Throws Error if
/// nothing of the model is quantized.
Simulation simulate(const Graph& graph, const SimulationOptions& options);

}  // namespace rung::cli
