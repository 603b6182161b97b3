// The analysis of a sim against AIMET's QuantAnalyzer, of October 2024 and of 2.42.

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_ptq.h"
#include "golden/golden_sim.h"
#include "rung/analysis/analyze.h"
#include "rung/nn/loss.h"
#include "rung/quantsim/quantsim.h"

using namespace rung;

namespace {

// How far AIMET is from itself, with room (golden data's own README): scores are sums of squares of
// a few steps, so that single ties count.
constexpr double kScore = 0.2;
constexpr double kLayerError = 0.1;
// A min-max range, or one of a weight. In the search of tf_enhanced another candidate may win in
// few of the channels, and a weight on a tie moves what is observed behind it (golden_sim.h).
constexpr double kRange = 2e-6;
constexpr double kNeighbour = 0.06;

/// One run of AIMET's analyzer.
struct Run {
  std::string folder, network, name, config;
  nlohmann::json results;

  bool searches() const { return results.at("scheme") == "post_training_tf_enhanced"; }
};

std::vector<Run> october() {
  std::vector<Run> runs;
  for (const char* network : {"net", "aux"}) {
    const nlohmann::json all = golden::json("ptq/analyzer_" + std::string(network) + ".json");
    for (const auto& [name, results] : all.items())
      runs.push_back(
          {"ptq/", network, name,
           results.at("config") == "default_config" ? "aimet_2024" : "aimet_2024_per_channel",
           results});
  }
  return runs;
}

std::vector<Run> version_2_42() {
  std::vector<Run> runs;
  const nlohmann::json all = golden::json("aimet_2_42/ptq/results.json");
  for (const auto& [name, results] : all.items())
    if (name.starts_with("analyzer_"))
      runs.push_back(
          {"aimet_2_42/ptq/", "net", name,
           results.at("config") == "default_config.json" ? "aimet_2_42_per_tensor" : "aimet_2_42",
           results});
  return runs;
}

/// AIMET's name of a range: <module>_<weight>, <module>_input_<i>, <module>_output_<i>.
std::string range_name(std::string name) {
  for (const auto& [ours, theirs] :
       std::map<std::string, std::string>{{".param_quantizers.", "_"},
                                          {".input_quantizers.", "_input_"},
                                          {".output_quantizers.", "_output_"}})
    if (const std::size_t at = name.find(ours); at != std::string::npos)
      name.replace(at, ours.size(), theirs);
  return name;
}

/// Compares the ranges of one quantizer; returns how many are another candidate of the search.
int compare_ranges(const analysis::Quantizer& quantizer, const nlohmann::json& expected,
                   bool searches, golden::Report& report) {
  CAPTURE(quantizer.name);
  int others = 0;
  const std::string name = range_name(quantizer.aimet_name);
  const bool is_list = expected.is_object();
  REQUIRE(quantizer.min.size() == (is_list ? expected.size() : 1));
  for (std::size_t c = 0; c < quantizer.min.size(); ++c) {
    const nlohmann::json& range = is_list ? expected.at(name + "_" + std::to_string(c)) : expected;
    const double min = range.at(0), max = range.at(1);
    const double difference =
        std::max(std::abs(quantizer.min[c] - min), std::abs(quantizer.max[c] - max)) / (max - min);
    if (difference >
        (searches && quantizer.place != "parameter" ? golden::kOtherCandidate : kRange))
      ++others;
    CHECK_MESSAGE(difference <= (searches ? kNeighbour : kRange),
                  name << " differs by " << difference);
    report.add(2);
  }
  return others;
}

void check_ranges(const Run& run, const analysis::Analysis& got, golden::Report& report) {
  const auto& weights = run.results.at("min_max_ranges/weights.json");
  const auto& activations = run.results.at("min_max_ranges/activations.json");
  CHECK(got.quantizers.size() == weights.size() + activations.size());
  double others = 0;
  std::size_t channels = 0;
  for (const analysis::Quantizer& each : got.quantizers) {
    const auto& ranges = each.place == "parameter" ? weights : activations;
    const std::string name = range_name(each.aimet_name);
    if (!ranges.contains(name)) {
      FAIL_CHECK(name << " is no range of AIMET's");
      continue;
    }
    others += compare_ranges(each, ranges.at(name), run.searches(), report);
    channels += each.min.size();
  }
  CHECK(others <= (run.searches() ? golden::other_candidates(channels) : 0));
}

/// Gives the sim AIMET's ranges, which check_ranges() has compared with its own: what another
/// candidate or a moved range does to every score behind it is not counted again.
void take_ranges(const Run& run, QuantizationSimModel& sim) {
  for (QuantizerHandle each : sim.quantizers()) {
    const bool is_parameter = each.place() == QuantizerPlace::parameter;
    const std::string name = range_name(aimet_name(each));
    const auto& expected =
        run.results
            .at(is_parameter ? "min_max_ranges/weights.json" : "min_max_ranges/activations.json")
            .at(name);
    std::vector<Range> ranges;
    for (std::int64_t c = 0; c < each.encoding().channels(); ++c) {
      const nlohmann::json& range =
          expected.is_object() ? expected.at(name + "_" + std::to_string(c)) : expected;
      ranges.push_back({range.at(0), range.at(1)});
    }
    each.set_ranges(ranges);
  }
}

void check_relative(double got, double expected, double tolerance, const std::string& what,
                    double& worst) {
  const double difference = std::abs(got - expected) / std::abs(expected);
  worst = std::max(worst, difference);
  CHECK_MESSAGE(difference <= tolerance, what << " is " << got << ", AIMET's " << expected);
}

void check_sensitivities(const Run& run, const analysis::Analysis& got, golden::Report& report) {
  const auto& enabled = run.results.at("per_layer_quant_enabled.json");
  const auto& disabled = run.results.at("per_layer_quant_disabled.json");
  CHECK(got.layers_sensitivity.size() == enabled.size());
  double worst = 0;
  for (const analysis::Sensitivity& each : got.layers_sensitivity) {
    CAPTURE(each.name);
    REQUIRE(enabled.contains(each.name));
    check_relative(each.alone, -enabled.at(each.name).get<double>(), kScore, "alone", worst);
    check_relative(each.all_but, -disabled.at(each.name).get<double>(), kScore, "all but", worst);
    report.add(2);
  }
  report.note(run.name + " scores within " + std::to_string(worst));
}

void check_layer_errors(const Run& run, const analysis::Analysis& got, double batches,
                        golden::Report& report) {
  double worst = 0;
  for (const analysis::Layer& layer : got.layers) {
    CAPTURE(layer.name);
    // AIMET divides the sum of the batches' means by the number of images.
    const double expected = run.results.at("per_layer_mse_loss.json").at(layer.name);
    const double images = static_cast<double>(got.cost.images);
    check_relative(layer.accumulated.mse * batches / images, expected, kLayerError, "error", worst);
    report.add();
  }
  report.note("layers within " + std::to_string(worst));
}

/// AIMET's score is minus the mean squared difference of the outputs.
void check_levels(const Run& run, const QuantizationSimModel& sim, const Tensor& x,
                  golden::Report& report) {
  Graph original = sim.get_original_model();
  const Tensor in_float = Executor(original).forward(x);
  const auto score = [&](Executor& executor) {
    return -nn::mse_loss(executor.forward(x), in_float).value;
  };
  const analysis::Levels levels =
      analysis::analyze(sim, std::vector<Tensor>{x}, score, {.measure_time = false}).levels;
  const auto& expected = run.results.at("fp32_weight_activation_scores");
  double worst = 0;
  CHECK(levels.metric == "score");
  CHECK(levels.nothing == 0.0);
  check_relative(levels.weights, expected.at(1), kScore, "weights only", worst);
  check_relative(levels.activations, expected.at(2), kScore, "activations only", worst);
  report.add(3);
}

void check(const Run& run, golden::Report& report) {
  CAPTURE(run.network);
  CAPTURE(run.name);
  const golden::Tensors data = golden::tensors(run.folder + "data.safetensors");
  const auto images = [&](const char* name) { return golden::tensor(data.at(name)); };
  golden::PtqNetworks networks(run.folder + run.network + "_folded.safetensors",
                               data.at("x0").shape.at(2));
  QuantizationSimModel sim(
      networks.build(run.network),
      {.quant_scheme = parse_quant_scheme(run.results.at("scheme").get<std::string>()),
       .default_output_bw = run.results.value("output_bw", 8),
       .default_param_bw = run.results.at("param_bw"),
       .config_file = run.config});
  sim.compute_encodings([&](Executor& executor) {
    for (const char* batch : {"x0", "x1", "x2", "x3"}) executor.forward(images(batch));
  });
  const analysis::Options options{.metric = "mse", .measure_time = false};
  const auto analyze = [&](const std::vector<Tensor>& batches) {
    return analysis::analyze(sim, batches, {}, options);
  };
  check_ranges(run, analyze({images("x_eval")}), report);
  if (run.searches()) take_ranges(run, sim);
  check_sensitivities(run, analyze({images("x_eval")}), report);
  if (run.results.contains("fp32_weight_activation_scores"))
    check_levels(run, sim, images("x_eval"), report);
  check_layer_errors(run, analyze({images("x0"), images("x1")}), 2, report);
}

}  // namespace

TEST_SUITE("golden: analyzer") {
  TEST_CASE("AIMET's analyzer of October 2024") {
    golden::Report report("analyzer of October 2024");
    for (const Run& run : october()) check(run, report);
  }

  TEST_CASE("AIMET's analyzer of 2.42") {
    golden::Report report("analyzer of 2.42");
    for (const Run& run : version_2_42()) check(run, report);
  }
}
