#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/analysis/dot.h"
#include "rung/analysis/summary.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"

using namespace rung;
using analysis::Attribute;
using analysis::LayerSummary;
using analysis::NetworkSummary;

namespace {

const LayerSummary& layer(const NetworkSummary& network, const std::string& name) {
  const auto found = std::ranges::find(network.layers, name, &LayerSummary::name);
  REQUIRE(found != network.layers.end());
  return *found;
}

std::vector<std::string> quantizers_of(const LayerSummary& layer) {
  std::vector<std::string> names;
  for (const QuantizerHandle& each : layer.quantizers) names.push_back(each.name());
  return names;
}

}  // namespace

TEST_SUITE("analysis: summary of a network") {
  TEST_CASE("counts parameters, multiplications and bytes") {
    const Graph graph = small_net();
    const NetworkSummary network = analysis::summarize(graph);
    CHECK(network.layers.front().name == "x");
    CHECK(network.layers.front().type == "input");
    CHECK(network.layers.back().name == "fc");
    CHECK(layer(network, "conv1").output_shape == Shape{1, 3, 4, 4});
    CHECK(layer(network, "conv1").parameters == 3 * 2 * 9 + 3);
    CHECK(layer(network, "conv1").macs == 3 * 2 * 9 * 16);
    CHECK(layer(network, "relu1").parameters == 0);
    CHECK(network.parameters == 57 + 12 + 12 + 196);
    CHECK(network.macs == 864 + 144 + 144 + 192);
    CHECK(network.float_bytes == 4 * network.parameters);
    CHECK(network.bytes == network.float_bytes);
    CHECK(network.quantizers == 0);
  }

  TEST_CASE("does not count multiplications of a batch") {
    Graph graph;
    Var x = graph.input("x", {4, 2, 6, 6});
    graph.set_outputs({nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv")});
    CHECK(analysis::summarize(graph).macs == 864);
  }

  TEST_CASE("has the quantizers of each layer, and bytes of codes") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
    NetworkSummary network = analysis::summarize(sim.graph());
    CHECK(network.quantizers == std::ssize(sim.quantizers()));
    CHECK(network.working_quantizers == network.quantizers);
    std::size_t listed = 0;
    for (const LayerSummary& each : network.layers) {
      CHECK(each.type != "QuantizeDequantize");
      listed += each.quantizers.size();
    }
    CHECK(listed == sim.quantizers().size());
    const auto names = quantizers_of(layer(network, "conv2"));
    CHECK(std::ranges::count(names, "conv2.weight") == 1);
    CHECK(layer(network, "conv1").bytes == 54 / 2 + 3 * 4);
    CHECK(layer(network, "conv2").bytes == 5 + 3 * 4);  // 9 numbers of 4 bits
    CHECK(network.float_bytes == 4 * 277);
    CHECK(network.bytes == 39 + 17 + 17 + 96 + 16);

    sim.quantizer("conv1.weight").disable();
    network = analysis::summarize(sim.graph());
    CHECK(network.working_quantizers == network.quantizers - 1);
    CHECK(layer(network, "conv1").bytes == 57 * 4);
  }

  TEST_CASE("finds the bits of a weight behind a batch norm that is folded in simulation") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .bias = false}, "conv");
    graph.set_outputs({nn::batch_norm2d(x, {}, "bn")});
    const QuantizationSimModel sim(
        graph, {.default_param_bw = 8, .batch_norms = BatchNormMode::fold_in_simulation});
    const NetworkSummary network = analysis::summarize(sim.graph());
    CHECK(network.float_bytes - network.bytes == 3 * (4 * 2 * 9));  // the weight in bytes
  }

  TEST_CASE("shows attributes only where they are no defaults") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::conv2d(x, {.out_channels = 2, .kernel = 3}, "usual");
    x = nn::conv2d(x, {.out_channels = 2, .kernel = 3, .stride = 2, .padding = 1, .groups = 2},
                   "unusual");
    graph.set_outputs({nn::flatten(x, "flatten")});
    const NetworkSummary network = analysis::summarize(graph);
    CHECK(layer(network, "usual").attributes.empty());
    CHECK(layer(network, "flatten").attributes.empty());
    const std::vector<Attribute>& attributes = layer(network, "unusual").attributes;
    CHECK(attributes.size() == 3);
    CHECK(std::ranges::count(attributes, Attribute{"strides", "[2, 2]"}) == 1);
    CHECK(std::ranges::count(attributes, Attribute{"pads", "[1, 1, 1, 1]"}) == 1);
    CHECK(std::ranges::count(attributes, Attribute{"group", "2"}) == 1);
  }
}

TEST_SUITE("analysis: drawing of a network") {
  TEST_CASE("has a box for each operation and an arrow for each value that is read") {
    const std::string dot = analysis::to_dot(small_net());
    CHECK(dot.starts_with("digraph network {"));
    for (const char* text : {"label=\"Conv\\nconv1\\n", "conv1.weight [3, 2, 3, 3]",
                             "shape=ellipse", "[label=\"[1, 3, 4, 4]\"]"})
      CHECK(dot.find(text) != std::string::npos);
    std::int64_t arrows = 0;
    for (std::size_t at = 0; (at = dot.find(" -> ", at)) != dot.npos; ++at) ++arrows;
    CHECK(arrows == 9);  // add reads two values; the network has an input and an output
  }

  TEST_CASE("says which values are quantized") {
    const QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
    const std::string dot = analysis::to_dot(sim.graph());
    CHECK(dot.find("QuantizeDequantize") == std::string::npos);
    CHECK(dot.find("conv1.weight [3, 2, 3, 3], 4 bit per channel") != std::string::npos);
    CHECK(dot.find("\\n6 bit\"") != std::string::npos);
  }

  TEST_CASE("escapes names") {
    Graph graph;
    const std::string hostile = "a\"];\nx -> y [URL=\"\\N&lt;<img onerror=alert(1)>";
    graph.set_outputs({nn::relu(graph.input("x", {1, 2}), hostile)});
    const std::string dot = analysis::to_dot(graph);
    std::istringstream lines(dot);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      bool quoted = false;
      for (std::size_t i = 0; i < line.size(); ++i) {
        if (quoted && line[i] == '\\')
          ++i;
        else if (line[i] == '"')
          quoted = !quoted;
      }
      CHECK(!quoted);
    }
    CHECK(dot.find("a\\\"];\\\\nx -> y [URL=\\\"\\\\N&amp;lt;<img") != std::string::npos);
  }
}
