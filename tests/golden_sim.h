#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "golden.h"
#include "golden_model.h"
#include "quant/histogram.h"
#include "quant/range/sqnr.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"

// What the tests against AIMET's QuantizationSimModel runs have in common.

namespace golden {

/// One run of network/sim.json.
struct SimRun {
  std::string name, config, scheme;
  bool folded = false;
  int param_bw = 8, output_bw = 8;
  std::vector<double> qat_losses;
  nlohmann::json
      quantizers;  ///< AIMET's name -> bitwidth, symmetric, shape, min, max, scale, offset
  bool learns() const { return scheme.starts_with("training_range_learning"); }
  bool searches() const { return scheme == "post_training_tf_enhanced"; }
};

/// Reads every run; throws if there is none, or a file of results that no run lists.
inline std::vector<SimRun> sim_runs() {
  std::vector<SimRun> runs;
  std::set<std::string> files;
  const nlohmann::json document = json("network/sim.json");
  for (const auto& run : document.at("runs")) {
    runs.push_back({run.at("name"), run.at("config"), run.at("quant_scheme"), run.at("folded"),
                    run.at("default_param_bw"), run.at("default_output_bw"), run.at("qat_losses"),
                    run.at("quantizers")});
    files.insert("sim_" + runs.back().name + ".safetensors");
    files.insert("sim_" + runs.back().name + "_encodings.json");
  }
  if (runs.empty()) throw std::runtime_error("network/sim.json lists no run");
  for (const std::string& file : golden::files("network", "sim_"))
    if (!files.contains(file))
      throw std::runtime_error("golden file belongs to no listed run: " + file);
  return runs;
}

/// Builds the run's float network from trained.safetensors and quantizes it.
inline rung::QuantizationSimModel make_sim(const SimRun& run) {
  rung::Graph graph = network("network/trained.safetensors");
  if (run.folded) rung::ptq::fold_all_batch_norms(graph);
  return rung::QuantizationSimModel(
      graph,
      {.quant_scheme = rung::parse_quant_scheme(run.scheme),
       .default_output_bw = run.output_bw,
       .default_param_bw = run.param_bw,
       .config_file = run.config == "default_config_per_channel" ? "per_channel" : "default"});
}

// The noise floor of encodings (tests/golden/README.md), relative to the scale. In the search of
// tf_enhanced a neighbouring candidate may win in few of the channels.
inline constexpr double kScale = 1e-6;
inline constexpr double kNeighbourShare = 0.01, kNeighbourScale = 0.025;

/// Prints what the search found about both candidates; AIMET's differs only where it is as good.
inline void print_costs(const rung::QuantizerHandle& quantizer, std::size_t channel,
                        double expected_scale) {
  const rung::Encoding e = quantizer.encoding();
  const auto data = quantizer.source().parameter()->value().data();
  const std::size_t row = data.size() / e.scale.size();
  const auto estimator = rung::make_sqnr();
  rung::observe(*estimator, data.subspan(channel * row, row));
  std::vector<double> state = estimator->state();
  state.pop_back();  // the count of numbers
  rung::Histogram histogram;
  histogram.load_state(state);
  const auto offset = static_cast<float>(e.file_offset(static_cast<std::int64_t>(channel)));
  const auto cost = [&](double scale) {
    return rung::sqnr_cost(histogram, static_cast<float>(scale), offset, e.grid);
  };
  std::printf("  %s channel %zu: scale %.6g costs %.9g, AIMET's %.6g costs %.9g\n",
              quantizer.name().c_str(), channel, double{e.scale[channel]}, cost(e.scale[channel]),
              expected_scale, cost(expected_scale));
}

/// Replaces the quantizer's range by AIMET's where a neighbouring candidate won; returns in how
/// many channels.
inline std::size_t replace_neighbours(const SimRun& run, rung::QuantizerHandle quantizer) {
  const nlohmann::json& expected = run.quantizers.at(quantizer.aimet_name());
  const rung::Encoding encoding = quantizer.encoding();
  std::vector<rung::Range> ranges;
  std::size_t moved = 0;
  for (std::size_t c = 0; c < encoding.scale.size(); ++c) {
    const double scale = expected.at("scale").at(c);
    const double error = std::abs(encoding.scale[c] - scale) / scale;
    if (error > kScale) {
      ++moved;
      if (quantizer.place() == rung::QuantizerPlace::parameter) print_costs(quantizer, c, scale);
    }
    CHECK_MESSAGE(error <= kNeighbourScale, quantizer.name() << " channel " << c);
    ranges.push_back({expected.at("min").at(c), expected.at("max").at(c)});
  }
  if (moved > 0) quantizer.set_ranges(ranges);
  return moved;
}

/// Calibrates on x0, x1, x2. In a run with a search, weights of which a neighbouring candidate won
/// get AIMET's ranges before activations are observed: else everything behind them would differ.
inline void calibrate(rung::QuantizationSimModel& sim, const SimRun& run, const Tensors& data) {
  const auto compute = [&] {
    sim.compute_encodings([&](rung::Executor& executor) {
      for (const char* batch : {"x0", "x1", "x2"}) executor.forward(tensor(data.at(batch)));
    });
  };
  compute();
  if (!run.searches()) return;
  std::size_t channels = 0, moved = 0;
  for (const bool parameters : {true, false}) {
    std::vector<rung::QuantizerHandle> replaced;
    for (rung::QuantizerHandle each : sim.quantizers()) {
      if ((each.place() == rung::QuantizerPlace::parameter) != parameters) continue;
      const std::size_t here = replace_neighbours(run, each);
      channels += each.encoding().scale.size();
      moved += here;
      if (here == 0 || !parameters) continue;
      each.freeze();
      replaced.push_back(each);
    }
    if (!replaced.empty()) compute();
    for (rung::QuantizerHandle& each : replaced) each.unfreeze();
  }
  CHECK(static_cast<double>(moved) <= kNeighbourShare * static_cast<double>(channels));
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
