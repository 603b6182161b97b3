#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/ptq/ptq.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

std::vector<float> run(const Graph& graph) {
  Graph copy = graph.clone();
  return values(Executor(copy).forward(random_tensor({4, 2, 6, 6}, 3)));
}

void calibrate(QuantizationSimModel& sim) {
  sim.compute_encodings([](Executor& executor) {
    executor.forward(random_tensor({4, 2, 6, 6}, 1));
  });
}

}  // namespace

TEST_SUITE("quantsim: original model") {
  TEST_CASE("without its quantizers a sim is the float model, bit for bit") {
    const Graph graph = small_net();
    QuantizationSimModel sim(graph, {.config_file = "per_channel"});
    calibrate(sim);
    const std::uint64_t version = sim.graph().version();
    const Graph original = sim.get_original_model();
    original.check();
    CHECK(run(original) == run(graph));
    CHECK(original.to_string() == graph.to_string());
    CHECK(original.parameters(Role::encoding).empty());
    CHECK(sim.graph().version() == version);
    // It is a copy: whatever is done to it does not reach the sim.
    original.parameter("fc.bias").edit().fill(7);
    CHECK(values(sim.graph().parameter("fc.bias").value()) != values(Tensor::full({4}, 7)));
    CHECK_NOTHROW(QuantizationSimModel(original, {}));
  }

  TEST_CASE("a sim without ranges has an original model, too, but no baked one") {
    QuantizationSimModel sim(small_net());
    CHECK(run(sim.get_original_model()) == run(small_net()));
    CHECK_THROWS_WITH_AS(sim.get_original_model({.qdq_weights = true}), doctest::Contains("weight"),
                         Error);
  }

  TEST_CASE("batch norms that are folded in simulation are batch norms again, or folded") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::conv2d(x, {.out_channels = 3, .kernel = 3, .bias = false}, "conv");
    graph.set_outputs({nn::relu(nn::batch_norm2d(x, {}, "bn"), "relu")});
    Rng rng(5);
    for (Parameter* parameter : graph.parameters())
      for (float& v : parameter->edit().data()) v = static_cast<float>(rng.uniform(0.2, 1.0));
    QuantizationSimModel sim(
        graph, {.default_param_bw = 4, .batch_norms = BatchNormMode::fold_in_simulation});
    calibrate(sim);
    const Graph original = sim.get_original_model();
    original.check();
    CHECK(original.node("bn").type() == "BatchNormalization");
    CHECK(original.node("conv").inputs()[1]->name() == "conv.weight");
    const std::vector<float> expected = run(graph), got = run(original);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i)  // a bias of zeros has been added
      CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-6));

    const Graph baked = sim.get_original_model({.qdq_weights = true});
    baked.check();
    CHECK(baked.find_node("bn") == nullptr);
    Graph folded = graph.clone();
    ptq::fold_all_batch_norms(folded);
    const Encoding encoding = sim.quantizer("conv.weight").encoding();
    CHECK(values(baked.parameter("conv.weight").value()) ==
          values(quantize_dequantize(folded.parameter("conv.weight").value(), encoding)));
    for (const PlacementReason& reason : sim.placement_reasons()) {
      CHECK_MESSAGE(reason.by_hand.empty(), reason.quantizer);
      CHECK_MESSAGE(!reason.is_present == reason.state().starts_with("none"), reason.quantizer);
    }
    CHECK(sim.placement_reasons().size() ==
          QuantizationSimModel(graph, {}).placement_reasons().size() + 1);  // the bias of zeros
  }

  TEST_CASE("baked weights are what the quantizers make of them") {
    for (const char* config : {"default", "per_channel"})
      for (const int bitwidth : {2, 4, 8}) {
        CAPTURE(config);
        CAPTURE(bitwidth);
        const Graph graph = small_net();
        QuantizationSimModel sim(graph, {.default_param_bw = bitwidth, .config_file = config});
        calibrate(sim);
        sim.quantizer("conv2.weight").disable();
        const Graph baked = sim.get_original_model({.qdq_weights = true});
        for (const char* name : {"conv1.weight", "conv3.weight", "fc.weight"}) {
          CAPTURE(name);
          const Encoding encoding = sim.quantizer(name).encoding();
          const ConstTensor& weight = graph.parameter(name).value();
          const ConstTensor& now = baked.parameter(name).value();
          CHECK(values(now) == values(quantize_dequantize(weight, encoding)));
          CHECK(values(now) != values(weight));
          // Quantizing baked weights again gives identical codes.
          CHECK(quantize(now.data(), now.shape(), encoding) ==
                quantize(weight.data(), weight.shape(), encoding));
        }
        for (const char* name : {"conv2.weight", "conv1.bias", "fc.bias"})
          CHECK(values(baked.parameter(name).value()) == values(graph.parameter(name).value()));
      }
  }

  TEST_CASE("a sim of baked weights has the same codes without any quantizer of activations") {
    QuantizationSimModel sim(small_net(), {.default_param_bw = 4});
    calibrate(sim);
    QuantizationSimModel again(sim.get_original_model({.qdq_weights = true}),
                               {.default_param_bw = 4});
    calibrate(again);
    for (QuantizerHandle each : sim.quantizers()) {
      if (each.place() != QuantizerPlace::parameter) {
        each.disable();
        continue;
      }
      const std::vector<Range> ranges = each.ranges();
      again.quantizer(each.name()).set_ranges(ranges);
      const auto codes = [&](QuantizationSimModel& of) {
        return quantize(of.graph().value(each.name()).parameter()->value().data(),
                        each.source().shape(), of.quantizer(each.name()).encoding());
      };
      CHECK(codes(sim) == codes(again));
    }
    // Whole codes are summed before they are scaled: the same up to the order of roundings.
    const std::vector<float> quantized = run(sim.graph());
    const std::vector<float> baked = run(sim.get_original_model({.qdq_weights = true}));
    REQUIRE(quantized.size() == baked.size());
    for (std::size_t i = 0; i < baked.size(); ++i)
      CHECK(quantized[i] == doctest::Approx(baked[i]).epsilon(1e-5));
  }
}
