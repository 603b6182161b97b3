// AIMET's simulation runs from calibration to the end of four steps of quantization-aware training
// (fixed or learned ranges, batch norms folded or kept with frozen statistics), against bounds that
// are measured run by run; and the proof that these can fail.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_runs.h"
#include "golden/pytorch_quantizer.h"
#include "rung/graph/kernel.h"
#include "rung/nn/loss.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/config_utils.h"

using namespace rung;
using golden::Distances;
using golden::SimRun;
using golden::Way;

namespace {

/// A run, computed directly, and how far right ways of computing it are from that.
struct Measured {
  golden::Outcome direct;
  std::vector<Distances> spread;
};

Measured measure(const SimRun& run, const golden::Tensors& data) {
  const bool as_pytorch = run.version.rules == golden::kVersion242.rules && !run.learns();
  const auto follow = [&](Way way) {
    if (as_pytorch) way.before_calibration = golden::compute_as_pytorch;
    return golden::follow(run, data, way);
  };
  const golden::Outcome direct = follow({.training = {.conv_algorithm = golden::conv_algorithm()}});
  std::vector<Distances> spread;
  for (const Way& way : golden::right_ways())
    spread.push_back(golden::distances(run, direct, follow(way)));
  return {direct, spread};
}

bool within(const Distances& distances, const Distances& bounds) {
  return std::ranges::all_of(
      distances, [&](const auto& each) { return each.second <= bounds.at(each.first); });
}

/// Fixed ranges end as they were, and as AIMET's.
void check_fixed_ranges(const SimRun& run, const golden::Outcome& got,
                        const golden::Outcome& expected) {
  for (const auto& [name, start] : got.start) {
    const std::string quantizer = name.substr(0, name.rfind('.'));
    if (!run.quantizers.contains(quantizer)) continue;
    CAPTURE(name);
    CHECK(got.end.at(name) == start);
    const std::vector<double> widths = golden::widths(run.quantizers.at(quantizer));
    REQUIRE(widths.size() == start.size());
    for (std::size_t c = 0; c < start.size(); ++c)
      CHECK(std::abs(start[c] - expected.end.at(name).at(c)) <= run.version.scale * widths[c]);
  }
}

std::size_t count_values(const golden::Outcome& outcome) {
  std::size_t values = outcome.logits.size() + outcome.final_logits.size() + outcome.losses.size();
  for (const auto* lists : {&outcome.gradients, &outcome.end, &outcome.scales})
    for (const auto& [name, list] : *lists) values += list.size();
  return values;
}

/// True if a wrong program would be noticed in one of the runs.
bool is_noticed(const std::vector<SimRun>& runs, std::vector<std::optional<Measured>>& measured,
                const golden::Tensors& data, const Way& wrong) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].learns()) continue;
    if (!measured[i]) measured[i] = measure(runs[i], data);
    const Distances d = golden::distances(runs[i], golden::follow(runs[i], data, wrong),
                                          golden::aimet_outcome(runs[i]));
    if (!within(d, golden::bounds(runs[i], measured[i]->spread))) return true;
  }
  return false;
}

/// Rounds like the affine quantizer, but lets the gradient of clipped numbers pass.
class Unmasked final : public Quantizer {
 public:
  explicit Unmasked(const Quantizer& like) : Quantizer(like.options()), inner_(like.options()) {}
  std::string_view kind() const override { return "unmasked"; }
  std::vector<ParameterSpec> parameters() const override { return inner_.parameters(); }
  Encoding encoding(ParameterView p) const override { return inner_.encoding(p); }
  void initialize(std::span<const Range> ranges, MutableParameterView p) const override {
    // Half the range, so that there is something to clip.
    std::vector<Range> half;
    for (const Range& range : ranges) half.push_back({range.min / 2, range.max / 2});
    inner_.initialize(half, p);
  }
  void chain(const EncodingGradient& g, const Encoding& e, ParameterView p,
             MutableParameterView d) const override {
    inner_.chain(g, e, p, d);
  }
  bool runs_fused() const override { return false; }
  void backward(const QuantizeGradIo& io) const override {
    Quantizer::backward(io);
    if (masked || io.dx.empty()) return;
    std::ranges::copy(io.dy, io.dx.begin());
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<Unmasked>(*this); }
  bool masked = false;

 private:
  AffineQuantizer inner_;
};

void replace_all(QuantizationSimModel& sim, bool masked) {
  for (const QuantizerHandle& each : sim.quantizers()) {
    auto quantizer = std::make_unique<Unmasked>(each.op().quantizer());
    quantizer->masked = masked;
    replace_quantizer(sim.graph(), each, std::move(quantizer));
  }
}

/// Returns the weight gradients of the first step, all together.
std::vector<double> gradients(const SimRun& run, const golden::Tensors& data, bool masked) {
  QuantizationSimModel sim = golden::make_sim(run);
  replace_all(sim, masked);
  sim.compute_encodings(
      [&](Executor& executor) { executor.forward(golden::tensor(data.at("x0"))); });
  freeze_bn_stats(sim.graph());
  const Tensor logits = sim.executor().forward(golden::tensor(data.at("x0")), Mode::train);
  sim.executor().backward(nn::cross_entropy(logits, data.at("y0").integers).gradient);
  std::vector<double> all;
  for (Parameter* parameter : sim.graph().parameters(Role::weight))
    all.insert(all.end(), parameter->grad().data().begin(), parameter->grad().data().end());
  return all;
}

void check_runs(const golden::Version& version, const std::string& suite) {
  golden::Report report(suite);
  golden::Floors worst;
  const golden::Tensors data = golden::network_data(version);
  const std::vector<SimRun> runs = golden::sim_runs(version);
  std::size_t close = 0;
  std::vector<std::size_t> ways_close(golden::right_ways().size());
  std::printf("%-80s %15s %15s %8s %15s\n", "run: AIMET's distance, ours among ourselves",
              "logits, steps", "losses", "gradient", "ranges");
  for (const SimRun& run : runs) {
    CAPTURE(run.name);
    const Measured measured = measure(run, data);
    const golden::Outcome aimet = golden::aimet_outcome(run);
    REQUIRE(run.qat_losses.size() == 4);
    if (!run.learns()) check_fixed_ranges(run, measured.direct, aimet);
    const Distances distances = golden::distances(run, measured.direct, aimet);
    const Distances bounds = golden::bounds(run, measured.spread);
    for (const auto& [what, distance] : distances) worst.check(what, distance, bounds.at(what));
    close += golden::almost_equal(distances) ? 1 : 0;
    for (std::size_t i = 0; i < ways_close.size(); ++i)
      ways_close[i] += golden::almost_equal(measured.spread[i]) ? 1 : 0;
    std::printf("%-80s", run.name.c_str());
    for (const char* what :
         {"final logits, mean", "losses", "gradients, worst", "movements of ranges"}) {
      if (!distances.contains(what)) continue;
      double spread = 0;
      for (const Distances& each : measured.spread) spread = std::max(spread, each.at(what));
      std::printf(" %7.1e/%7.1e", distances.at(what), spread);
    }
    std::printf("\n");
    report.add(count_values(aimet));
  }
  // Noise in the last place is the least that two programs differ by.
  std::size_t noisy_close = 0;
  for (std::size_t i = 0; i < ways_close.size(); ++i)
    if (golden::right_ways()[i].noise != 0) noisy_close = std::max(noisy_close, ways_close[i]);
  CHECK(2 * close >= noisy_close);
  worst.note(report);
  report.note(std::to_string(close) + " of " + std::to_string(runs.size()) +
              " almost exactly, with noise in the last place up to " + std::to_string(noisy_close));
}

}  // namespace

TEST_SUITE("golden network: sim runs") {
  TEST_CASE("AIMET's runs are as near as other right ways of computing them") {
    check_runs(golden::kOctober2024, "golden network: sim runs");
  }
  TEST_CASE("those of version 2.42 are, too") {
    check_runs(golden::kVersion242, "golden network of 2.42: sim runs");
  }

  TEST_CASE("a wrong program is not within the bounds") {
    const golden::Tensors data = golden::network_data();
    const std::vector<SimRun> runs = golden::sim_runs();
    std::vector<std::optional<Measured>> measured(runs.size());
    const auto noticed = [&](const Way& wrong) { return is_noticed(runs, measured, data, wrong); };
    CHECK_FALSE(noticed({}));
    CHECK(noticed({.before_calibration =
                       [](QuantizationSimModel& sim) {
                         for (QuantizerHandle each : sim.quantizers())
                           each.set_bitwidth(each.bitwidth() + 1);
                       },
                   .calibrate_freely = true}));
    CHECK(noticed({.after_calibration = [](QuantizationSimModel& sim) {
      for (QuantizerHandle each : sim.quantizers()) each.set_learned(false);
    }}));
    CHECK(noticed({.lr = 0.008}));
    CHECK(noticed({.momentum = 0.85}));
    CHECK(noticed({.after_calibration = [](QuantizationSimModel& sim) {
      for (QuantizerHandle each : sim.quantizers()) {
        const Encoding encoding = each.encoding();
        std::vector<Range> ranges;
        for (std::size_t c = 0; c < encoding.scale.size(); ++c) {
          const Range range = encoding.effective_range(static_cast<std::int64_t>(c));
          ranges.push_back({range.min * 1.01f, range.max * 1.01f});
        }
        each.set_ranges(ranges);
      }
    }}));
  }

  TEST_CASE("a missing mask is noticed") {
    // AIMET's calibrated ranges clip next to nothing, so that its runs cannot tell whether there is
    // a mask: the codes at the ends can, once ranges are halved.
    const golden::Tensors data = golden::network_data();
    const SimRun run = golden::sim_runs().front();
    const auto d = golden::difference(gradients(run, data, false), gradients(run, data, true));
    CHECK(d.relative_l2 > 0.3);
  }
}
