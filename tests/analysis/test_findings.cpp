#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/analysis/analyze.h"
#include "rung/analysis/findings.h"
#include "support/analysis_helpers.h"

using namespace rung;
using analysis::Finding;

namespace {

/// An analysis of two layers of which nothing can be said.
analysis::Analysis good() {
  analysis::Analysis a;
  a.levels = {"sqnr", test::kInfinity, 26, 25, 24};
  a.outputs = {.count = 100, .mse = 1, .sqnr_db = 24};
  for (const char* name : {"conv", "middle", "third", "fourth", "fc"}) {
    analysis::Layer& layer = a.layers.emplace_back();
    layer.name = name;
    layer.parameters = 10;
    layer.at_bitwidths = {{.bitwidth = 8, .alone_sqnr_db = 50}};
    a.layers_sensitivity.push_back({.name = name, .alone_error = {.mse = 1, .sqnr_db = 30}});
    analysis::Quantizer& quantizer = a.quantizers.emplace_back();
    quantizer.name = name;
    quantizer.place = "value";
    quantizer.min = {-1};
    quantizer.max = {1};
    quantizer.codes = {.used = 1};
    quantizer.statistics.count = 100000;
    quantizer.statistics.percentiles = {-0.9, -0.9, -0.5, -0.2, 0, 0.2, 0.5, 0.9, 0.9};
    quantizer.statistics.channel_min = {-1, -1};
    quantizer.statistics.channel_max = {1, 1};
  }
  return a;
}

/// Checks that there is one finding, and what it says.
void says(const analysis::Analysis& a, const std::string& subject, const std::string& text,
          const std::string& remedy) {
  const std::vector<Finding> found = analysis::findings(a);
  REQUIRE(found.size() == 1);
  CHECK(found[0].subject == subject);
  CHECK_MESSAGE(found[0].text.find(text) != std::string::npos, found[0].text);
  CHECK((found[0].remedies.empty() ? "" : found[0].remedies.front()) == remedy);
}

}  // namespace

TEST_SUITE("analysis: findings") {
  TEST_CASE("nothing is said where nothing is") { CHECK(analysis::findings(good()).empty()); }

  TEST_CASE("each rule finds what it is for") {
    analysis::Analysis a = good();
    a.levels.weights = 18;
    a.quantizers[0].place = "parameter";
    says(a, "", "the weights lose most", "--config per_channel");
    a.quantizers[0].per_channel = true;
    says(a, "", "the weights lose most", "--param-bw 16");
    a.quantizers[0].bitwidth = 4;
    says(a, "", "the weights lose most", "--param-bw 8");
    a.levels = {"sqnr", test::kInfinity, 33, 25, 24};
    says(a, "", "the activations lose most", "--output-bw 16");
    a = good();
    a.layers_sensitivity[4].alone_error.mse = 4;
    says(a, "fc", "it makes 50 %", "--edge-bw 8");
    a.outputs.sqnr_db = 40;  // then it does not matter
    CHECK(analysis::findings(a).empty());
    a = good();
    a.layers_sensitivity[1].alone_error.mse = 4;
    says(a, "middle", "about 50.0 dB", "rung qat");
    a.layers[1].at_bitwidths.clear();
    says(a, "middle", "30.0 dB with it alone", "rung qat");
    a = good();
    a.layers[4].quantizers = {"fc"};
    a.quantizers[4].bitwidth = 4;
    CHECK(analysis::findings(a).empty());
    a.layers_sensitivity[4].alone_error.sqnr_db = 20;
    says(a, "fc", "the last layer has 4 bits", "--edge-bw 8");
    a.quantizers[4].bitwidth = 8;
    CHECK(analysis::findings(a).empty());
    a = good();
    a.quantizers[1].symmetry = "symmetric";
    a.quantizers[1].statistics.max = 6;
    a.quantizers[1].statistics.min = -2;
    CHECK(analysis::findings(a).empty());
    a.quantizers[1].statistics.min = -0.25;
    says(a, "middle", "the least of its numbers is -0.25, the largest 6: a bit",
         "--config default");
    a = good();
    a.layers[2].type = "Concat";
    a.layers[2].inputs = {"conv", "middle"};
    for (const std::size_t i : {0, 1}) a.quantizers[i].layer = a.quantizers[i].name;
    CHECK(analysis::findings(a).empty());
    for (double& each : a.quantizers[1].statistics.percentiles) each *= 10;
    says(a, "third", "conv, which gets few of the codes", "rung qat");
    a.quantizers[1].max = {10};  // each has its own
    CHECK(analysis::findings(a).empty());
    a = good();
    a.quantizers[0].max = {9};
    says(a, "conv", "times as wide", "--scheme sqnr");
    a = good();
    a.quantizers[2].place = "parameter";
    a.quantizers[2].statistics.channel_spread = 20;
    says(a, "third", "20.0 times the one in the middle", "--config per_channel");
    a.quantizers[2].per_channel = true;
    CHECK(analysis::findings(a).empty());
    a = good();
    a.quantizers[1].codes = {
        .clipped_above = 0.05, .used = 1, .clipping_mse = 2, .rounding_mse = 1};
    says(a, "middle", "5.0 % of its numbers lie outside", "--scheme tf");
    using Remedies = std::vector<std::string>;
    CHECK(analysis::findings(a)[0].remedies ==
          Remedies{"--scheme tf", "--calibration-images 4096"});
    a.quantizers[1].place = "parameter";  // all of a weight is known without images
    REQUIRE(analysis::findings(a).size() == 1);
    CHECK(analysis::findings(a)[0].remedies == Remedies{"--scheme tf"});
    a = good();
    a.quantizers[1].codes->used = 0.1;
    says(a, "middle", "only 10 % of its 256 codes", "--scheme sqnr");
    a = good();
    a.quantizers[1].statistics.dead_channels = 1;
    says(a, "middle", "1 of its 2 channels", "");
    a.quantizers[1].statistics.count = 2;  // a number per channel cannot change
    CHECK(analysis::findings(a).empty());
    a = good();
    a.quantizers[1].codes->ties = 0.2;
    says(a, "middle", "20.0 % of its numbers lie in the middle", "");
  }

  TEST_CASE("the worst come first, and not all of them") {
    analysis::Analysis a = good();
    for (std::size_t i = 0; i < 5; ++i)
      a.quantizers[i].codes->ties = 0.1 * static_cast<double>(i + 1);
    const std::vector<Finding> found = analysis::findings(a, 2);
    REQUIRE(found.size() == 2);
    CHECK(found[0].subject == "fc");
    CHECK(found[1].subject == "fourth");
  }

  TEST_CASE("a weight of unequal channels is found in a real network") {
    Graph graph = small_net();
    for (float& w : graph.parameter("conv2.weight").edit().data().first(3)) w *= 40;
    QuantizationSimModel sim(graph, {.default_param_bw = 4, .config_file = "per_tensor"});
    calibrate_small_net(sim);
    bool is_found = false;
    for (const Finding& each : analysis::findings(analysis::analyze(sim, test::batches())))
      is_found = is_found || (each.subject == "conv2.weight" &&
                              each.remedies.front() == "--config per_channel");
    CHECK(is_found);
  }

  TEST_CASE("unequal inputs of a concatenation are found in a real network") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 6, 6});
    const Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "a");
    const Var b = nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "b");
    graph.set_outputs({nn::concat({a, b}, {}, "both")});
    Rng rng(5);
    for (Parameter* each : graph.parameters())
      for (float& w : each->edit().data())
        w = static_cast<float>(rng.normal()) * (each->name() == "b.weight" ? 30 : 1);
    for (const char* config : {"default", "aimet_2_42", "aimet_2024", "htp"}) {
      CAPTURE(config);
      QuantizationSimModel sim(graph, {.config_file = config});
      calibrate_small_net(sim);
      bool is_found = false;
      for (const Finding& each : analysis::findings(analysis::analyze(sim, test::batches())))
        is_found = is_found || (each.subject == "both" &&
                                each.text.find("as wide as a, which") != std::string::npos);
      CHECK(is_found);
    }
  }
}
