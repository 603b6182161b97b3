#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/analysis/analyze.h"
#include "rung/core/rng.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/analysis_helpers.h"

using namespace rung;
using test::batches;
using test::check_close;
using test::sqnr_db;

namespace {

/// x -> fc1 -> relu -> fc2, without biases, for sums by hand.
Graph two_layers() {
  Graph graph;
  Var x = graph.input("x", {1, 2});
  x = nn::relu(nn::linear(x, {.out_features = 2, .bias = false}, "fc1"), "relu");
  graph.set_outputs({nn::linear(x, {.out_features = 2, .bias = false}, "fc2")});
  graph.parameter("fc1.weight").edit().copy_from(Tensor({2, 2}, {7, -3, -8, -8}));
  graph.parameter("fc2.weight").edit().copy_from(Tensor({2, 2}, {1, 0, 0, 1}));
  return graph;
}

}  // namespace

TEST_SUITE("analysis: tensors") {
  TEST_CASE("a quantizer's clipping and rounding add up, and its codes are counted") {
    Graph graph;
    const Var x = graph.input("x", {1, 1});
    graph.set_outputs({nn::linear(x, {.out_features = 1, .bias = false}, "fc")});
    graph.parameter("fc.weight").edit().fill(1.0f);
    QuantizationSimModel sim(graph, {.default_output_bw = 2, .default_param_bw = 8});
    const Tensor data({6, 1}, {-1, 0, 0.5f, 1, 3, 10});
    sim.compute_encodings([&](Executor& executor) { executor.forward(data); });
    std::string name;
    for (QuantizerHandle each : sim.quantizers())
      if (each.source().is_input()) {
        each.set_range({0, 3});
        name = each.name();
      }
    const analysis::Analysis got = analysis::analyze(sim, std::vector<Tensor>{data});
    const analysis::Quantizer& quantizer = got.quantizer(name);
    REQUIRE(quantizer.codes);
    CHECK(quantizer.codes->clipped_below == doctest::Approx(1.0 / 6));
    CHECK(quantizer.codes->clipped_above == doctest::Approx(1.0 / 6));
    CHECK(quantizer.codes->ties == doctest::Approx(1.0 / 6));
    CHECK(quantizer.codes->used == doctest::Approx(3.0 / 4));  // 0, 1 and 3
    CHECK(quantizer.codes->clipping_mse == doctest::Approx(50.0 / 6));
    CHECK(quantizer.codes->rounding_mse == doctest::Approx(0.25 / 6));
    CHECK(quantizer.min == std::vector<float>{0});
    CHECK(quantizer.max == std::vector<float>{3});
    for (const analysis::Quantizer& each : got.quantizers)
      CHECK(each.codes->clipping_mse + each.codes->rounding_mse ==
            doctest::Approx(each.error.mse).epsilon(1e-12));
  }

  TEST_CASE("of a weight in channels, too") {
    for (const char* config : {"per_channel", "per_tensor"}) {
      QuantizationSimModel sim = calibrated({.quant_scheme = QuantScheme::post_training_tf_enhanced,
                                             .default_output_bw = 4,
                                             .default_param_bw = 3,
                                             .config_file = config});
      const analysis::Analysis got = analysis::analyze(sim, batches());
      CHECK(got.quantizers.size() == names_of(sim).size());
      for (const analysis::Quantizer& each : got.quantizers) {
        CAPTURE(each.name);
        REQUIRE(each.codes);
        CHECK(each.codes->clipping_mse + each.codes->rounding_mse ==
              doctest::Approx(each.error.mse).epsilon(1e-9));
        if (each.place != "parameter") continue;
        const QuantizerHandle quantizer = sim.quantizer(each.name);
        const ConstTensor& w = quantizer.source().parameter()->value();
        const Tensor q = quantizer.quantize_dequantize(w);
        check_close(each.error.sqnr_db, sqnr_db(values(w), values(q)));
      }
    }
  }

  TEST_CASE("statistics are those of the numbers") {
    Tensor x({2, 3, 40, 40});
    Rng rng(1);
    std::vector<float> sorted;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const std::int64_t channel = i / 1600 % 3;
      float& v = x.data()[static_cast<std::size_t>(i)];
      v = channel == 1 ? 0.5f : static_cast<float>(rng.normal() * (channel == 2 ? 8 : 1));
      sorted.push_back(v);
    }
    std::ranges::sort(sorted);
    Graph graph;
    const Var in = graph.input("x", {1, 3, 40, 40});
    graph.set_outputs({nn::conv2d(in, {.out_channels = 1, .kernel = 1}, "conv")});
    QuantizationSimModel sim(graph);
    sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
    const analysis::Analysis got =
        analysis::analyze(sim, std::vector<Tensor>{x.slice(0, 1).clone(), x.slice(1, 2).clone()});
    for (const analysis::Quantizer& each : got.quantizers) {
      if (each.layer != "conv" || each.place == "parameter" || each.place == "value") continue;
      const analysis::Statistics& s = each.statistics;
      CHECK(s.count == x.numel());
      CHECK(s.min == sorted.front());
      CHECK(s.max == sorted.back());
      const double bin = (s.max - s.min) / 2048;
      REQUIRE(s.percentiles.size() == std::size(analysis::kPercentiles));
      for (std::size_t i = 0; i < s.percentiles.size(); ++i) {
        const double rank = analysis::kPercentiles[i] / 100 * static_cast<double>(sorted.size());
        const auto at = static_cast<std::size_t>(rank);
        CAPTURE(analysis::kPercentiles[i]);
        CHECK(s.percentiles[i] >= sorted[at - 1] - bin);
        CHECK(s.percentiles[i] <= sorted[at + 1] + bin);
      }
      double counted = 0;
      for (const double count : s.distribution.counts) counted += count;
      CHECK(counted == doctest::Approx(static_cast<double>(x.numel())));
      CHECK(s.dead_channels == 1);
      REQUIRE(s.channel_max.size() == 3);
      CHECK(s.channel_min[1] == 0.5f);
      CHECK(s.channel_max[1] == 0.5f);
      CHECK(s.channel_spread > 4);
    }
  }

  TEST_CASE("sums of codes need the bits that they need") {
    QuantizationSimModel sim(two_layers(), {.default_output_bw = 4, .default_param_bw = 4});
    const Tensor x({2, 2}, {15, 0, 7, 15});
    sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
    for (QuantizerHandle each : sim.quantizers()) {
      if (each.source().is_input()) each.set_range({0, 15});
      if (each.name() != "fc1.weight") continue;
      const std::vector<Range> ranges(static_cast<std::size_t>(each.op().quantizer().channels()),
                                      Range{-8, 7});
      each.set_ranges(ranges);
    }
    const analysis::Analysis got = analysis::analyze(sim, std::vector<Tensor>{x});
    const analysis::Layer& fc1 = got.layer("fc1");
    REQUIRE(fc1.accumulator);
    CHECK(fc1.accumulator->worst_case_bits == 9);  // -8 * 15 - 8 * 15 = -240
    CHECK(fc1.accumulator->observed_bits == 9);    // -8 * 7 - 8 * 15 = -176
    CHECK(fc1.macs == 4);
    CHECK(fc1.parameters == 4);
    const analysis::Analysis smaller =
        analysis::analyze(sim, std::vector<Tensor>{Tensor({1, 2}, {1, 1})});
    CHECK(smaller.layer("fc1").accumulator->worst_case_bits == 9);
    CHECK(smaller.layer("fc1").accumulator->observed_bits == 6);  // -16
    CHECK(!got.layer("relu").accumulator);
  }
}
