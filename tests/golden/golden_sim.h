#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "golden/golden.h"
#include "golden/golden_model.h"
#include "quant/histogram.h"
#include "quant/range/sqnr.h"
#include "rung/core/rng.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"

// What the tests against AIMET's QuantizationSimModel runs have in common.

namespace golden {

/// How exactly scales are compared, relative.
inline constexpr double kScale = 1e-6;

/// A version of AIMET that there are runs of.
struct Version {
  std::string_view folder;                   ///< of its data, before "network/"
  std::string_view per_tensor, per_channel;  ///< our names of its two configurations
  std::string_view rules;                    ///< see config_rules()
  double scale = kScale;                     ///< how exactly its scales are compared
};
inline constexpr Version kOctober2024{"", "aimet_2024", "aimet_2024_per_channel", "2024.10"};
inline constexpr Version kVersion242{kAimet242, "aimet_2_42_per_tensor", "aimet_2_42", "2.42",
                                     2e-6};

/// One run of network/sim.json.
struct SimRun {
  Version version;
  std::string name, config, scheme;
  bool folded = false;
  int param_bw = 8, output_bw = 8;
  std::vector<double> qat_losses;
  nlohmann::json
      quantizers;  ///< AIMET's name -> bitwidth, symmetric, shape, min, max, scale, offset
  bool learns() const { return scheme.starts_with("training_range_learning"); }
  /// True if the encodings file was written after training: October's of learned ranges were.
  bool writes_trained() const { return learns() && version.rules == kOctober2024.rules; }
  bool searches() const { return scheme == "post_training_tf_enhanced"; }
  /// Returns the run's file of this kind, ".safetensors" or "_encodings.json".
  std::string file(const std::string& ending) const {
    return std::string(version.folder) + "network/sim_" + name + ending;
  }
};

/// Returns the batches that a version's runs were computed on.
inline Tensors network_data(const Version& version = kOctober2024) {
  return tensors(std::string(version.folder) + "network/data.safetensors");
}

/// Reads every run; throws if there is none, or a file of results that no run lists.
inline std::vector<SimRun> sim_runs(const Version& version = kOctober2024) {
  std::vector<SimRun> runs;
  std::set<std::string> files;
  const std::string folder = std::string(version.folder) + "network";
  const nlohmann::json document = json(folder + "/sim.json");
  for (const auto& run : document.at("runs")) {
    runs.push_back({version, run.at("name"), run.at("config"), run.at("quant_scheme"),
                    run.at("folded"), run.at("default_param_bw"), run.at("default_output_bw"),
                    run.at("qat_losses"), run.at("quantizers")});
    files.insert("sim_" + runs.back().name + ".safetensors");
    files.insert("sim_" + runs.back().name + "_encodings.json");
  }
  if (runs.empty()) throw std::runtime_error(folder + "/sim.json lists no run");
  for (const std::string& file : golden::files(folder, "sim_"))
    if (!files.contains(file))
      throw std::runtime_error("golden file belongs to no listed run: " + file);
  return runs;
}

/// Moves every number to its upper or lower neighbour among floats; seed 0 leaves them alone.
inline void add_noise(std::span<float> values, std::string_view purpose, unsigned seed) {
  if (seed == 0) return;
  rung::Rng rng = rung::Rng(seed).split(purpose);
  for (float& value : values)
    value = std::nextafter(value, rng.bernoulli(0.5) ? std::numeric_limits<float>::infinity()
                                                     : -std::numeric_limits<float>::infinity());
}

/// Does so with every weight.
inline void add_noise(rung::Graph& graph, unsigned seed) {
  for (rung::Parameter* parameter : graph.parameters())
    if (parameter->role() != rung::Role::buffer)
      add_noise(parameter->edit().data(), parameter->name(), seed);
}

/// The batches of network/data.safetensors, with noise in the last place if its seed is not 0.
class Batches {
 public:
  Batches(const Tensors& data, unsigned noise = 0) : data_(&data), noise_(noise) {}
  rung::Tensor images(const std::string& name) const {
    rung::Tensor images = tensor(data_->at(name));
    add_noise(images.data(), name, noise_);
    return images;
  }
  const std::vector<std::int64_t>& labels(const std::string& name) const {
    return data_->at(name).integers;
  }

 private:
  const Tensors* data_;
  unsigned noise_;
};

/// Builds the run's float network from trained.safetensors and quantizes it.
inline rung::QuantizationSimModel make_sim(const SimRun& run, unsigned noise = 0) {
  const bool per_channel = run.config == "default_config_per_channel";
  rung::Graph graph = network(std::string(run.version.folder) + "network/trained.safetensors");
  add_noise(graph, noise);
  if (run.folded) rung::ptq::fold_all_batch_norms(graph);
  const rung::ConfigRules rules = rung::config_rules(run.version.rules);
  return rung::QuantizationSimModel(
      graph,
      {.quant_scheme = rung::aimet_scheme(run.scheme, rules.tf_enhanced),
       .default_output_bw = run.output_bw,
       .default_param_bw = run.param_bw,
       .config_file = std::string(per_channel ? run.version.per_channel : run.version.per_tensor)});
}

// In the search of tf_enhanced another candidate may win in few of the channels, where its cost is
// all but the same; a weight on a tie then has another code, which moves what is observed behind
// it.
inline constexpr double kEqualCost = 0.05;        // of weights, relative
inline constexpr double kNeighbourScale = 0.025;  // of activations
inline constexpr double kOtherCandidate = 2e-3;   // what differs by more is another candidate
inline double other_candidates(std::size_t channels) {
  return 2 + 0.02 * static_cast<double>(channels);
}

/// Runs x0, x1, x2 through the sim and computes its encodings.
inline void compute_encodings(rung::QuantizationSimModel& sim, const Batches& batches) {
  sim.compute_encodings([&](rung::Executor& executor) {
    for (const char* batch : {"x0", "x1", "x2"}) executor.forward(batches.images(batch));
  });
}

/// Checks that the search found both candidates for a channel of a weight equally good.
inline void check_costs(const rung::QuantizerHandle& quantizer, std::size_t channel,
                        double expected_scale) {
  const rung::Encoding e = quantizer.encoding();
  const auto data = quantizer.source().parameter()->value().data();
  const std::size_t row = data.size() / e.scale.size();
  const auto estimator = quantizer.op().estimator().clone();
  rung::observe(*estimator, data.subspan(channel * row, row));
  std::vector<double> state = estimator->state();
  state.pop_back();  // the count of numbers
  rung::Histogram histogram =
      estimator->name() == "tf_enhanced" ? rung::Histogram::limited() : rung::Histogram();
  histogram.load_state(state);
  const auto offset = static_cast<float>(e.file_offset(static_cast<std::int64_t>(channel)));
  const auto cost = [&](double scale) {
    return rung::sqnr_cost(histogram, static_cast<float>(scale), offset, e.grid);
  };
  const double ours = cost(e.scale[channel]), aimets = cost(expected_scale);
  CHECK_MESSAGE(std::abs(ours - aimets) <= kEqualCost * aimets,
                quantizer.name() << " channel " << channel << ": scale " << e.scale[channel]
                                 << " costs " << ours << ", AIMET's " << expected_scale << " costs "
                                 << aimets);
}

/// Replaces the quantizer's range by AIMET's where it is another one; returns whether it was, and
/// counts the channels in which another candidate won.
inline bool replace_neighbours(const SimRun& run, rung::QuantizerHandle quantizer,
                               std::size_t& others) {
  const nlohmann::json& expected = run.quantizers.at(aimet_name(quantizer));
  const rung::Encoding encoding = quantizer.encoding();
  std::vector<rung::Range> ranges;
  bool moved = false;
  for (std::size_t c = 0; c < encoding.scale.size(); ++c) {
    const double scale = expected.at("scale").at(c);
    const double error = std::abs(encoding.scale[c] - scale) / scale;
    moved = moved || error > run.version.scale;
    others += error > kOtherCandidate ? 1 : 0;
    if (quantizer.place() != rung::QuantizerPlace::parameter)
      CHECK_MESSAGE(error <= kNeighbourScale, quantizer.name());
    else if (error > run.version.scale)
      check_costs(quantizer, c, scale);
    ranges.push_back({expected.at("min").at(c), expected.at("max").at(c)});
  }
  if (moved) quantizer.set_ranges(ranges);
  return moved;
}

/// Calibrates on x0, x1, x2. In a run with a search, weights of which another candidate won get
/// AIMET's ranges before activations are observed: else everything behind them would differ.
inline void calibrate(rung::QuantizationSimModel& sim, const SimRun& run, const Batches& batches) {
  compute_encodings(sim, batches);
  if (!run.searches()) return;
  std::size_t channels = 0, others = 0;
  for (const bool parameters : {true, false}) {
    std::vector<rung::QuantizerHandle> replaced;
    for (rung::QuantizerHandle each : sim.quantizers()) {
      if ((each.place() == rung::QuantizerPlace::parameter) != parameters) continue;
      channels += each.encoding().scale.size();
      if (!replace_neighbours(run, each, others) || !parameters) continue;
      each.freeze();
      replaced.push_back(each);
    }
    if (!replaced.empty()) compute_encodings(sim, batches);
    for (rung::QuantizerHandle& each : replaced) each.unfreeze();
  }
  CHECK(static_cast<double>(others) <= other_candidates(channels));
}

/// How far two lists of numbers are from each other.
struct Difference {
  double mean = 0, largest = 0;  ///< absolute
  double relative_l2 = 0;        ///< of the difference, over the expected list's
};

inline Difference difference(std::span<const double> got, std::span<const double> expected) {
  REQUIRE(got.size() == expected.size());
  REQUIRE(!got.empty());
  Difference result;
  double norm = 0, error = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(got[i] - expected[i]);
    REQUIRE(std::isfinite(d));
    result.mean += d / static_cast<double>(got.size());
    result.largest = std::max(result.largest, d);
    error += d * d;
    norm += expected[i] * expected[i];
  }
  result.relative_l2 = error == 0 ? 0 : std::sqrt(error / norm);
  return result;
}

/// Checks errors against their floors and keeps the largest of each kind, for the printed line.
class Floors {
 public:
  void check(const std::string& what, double error, double floor) {
    CHECK_MESSAGE(error <= floor, what << " differ by " << error << ", the floor is " << floor);
    worst_[what] = std::max(worst_[what], error);
  }
  void note(Report& report) const {
    for (const auto& [what, error] : worst_) {
      char text[32];
      std::snprintf(text, sizeof text, " %.1e", error);
      report.note(what + text);
    }
  }

 private:
  std::map<std::string, double> worst_;
};

inline std::vector<double> doubles(std::span<const float> values) {
  return {values.begin(), values.end()};
}

}  // namespace golden
