// Quantizers of other kinds in a sim: blocks, grouped blocks, floating-point formats.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/quantsim/config_utils.h"
#include "support/quant_helpers.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

const Shape kInput{4, 2, 6, 6};

void calibrate(QuantizationSimModel& sim) {
  sim.compute_encodings([](Executor& executor) { executor.forward(random_tensor(kInput, 1)); });
}

Tensor run(QuantizationSimModel& sim) { return sim.executor().forward(random_tensor(kInput, 3)); }

QuantizationSimModel make_sim() { return QuantizationSimModel(small_net()); }

}  // namespace

TEST_SUITE("quantsim: config utils") {
  TEST_CASE("weights of chosen nodes get a scale per block of input channels") {
    QuantizationSimModel sim = make_sim();
    CHECK(set_blockwise_quantization_for_weights(sim, nodes_named(sim.graph(), {"conv1", "fc"}),
                                                 {.bitwidth = 3, .block_size = 1}) == 2);
    sim.graph().check();
    calibrate(sim);
    const QuantizerHandle weight = sim.quantizer("conv1.weight");
    CHECK(weight.place() == QuantizerPlace::parameter);
    CHECK(weight.bitwidth() == 3);
    CHECK(weight.parameters()[0]->shape() == Shape{3, 2});
    CHECK(sim.quantizer("fc.weight").encoding().channels() ==
          sim.graph().parameter("fc.weight").shape().numel());
    CHECK(sim.quantizer("conv2.weight").encoding().channels() == 3);  // as it was
    // The parameters of the old quantizers are gone.
    std::size_t encodings = 0;
    for (const QuantizerHandle& each : sim.quantizers()) encodings += each.parameters().size();
    CHECK(sim.graph().parameters(Role::encoding).size() == encodings);
    CHECK(run(sim).shape() == Shape{4, 4});
  }

  TEST_CASE("grouped blocks have scales that are whole multiples of a channel's") {
    QuantizationSimModel sim = make_sim();
    CHECK(set_grouped_blockwise_quantization_for_weights(
              sim, nodes_of_type({"Gemm"}),
              {.bitwidth = 4, .decompressed_bw = 7, .block_size = 4}) == 1);
    calibrate(sim);
    const Encoding encoding = sim.quantizer("fc.weight").encoding();
    REQUIRE(encoding.grouped);
    CHECK(encoding.grouped->decompressed_bw == 7);
    CHECK(encoding.grouped->per_channel_scale.size() == 4);
    CHECK(run(sim).shape() == Shape{4, 4});
  }

  TEST_CASE("activations of chosen nodes are rounded to a floating-point format") {
    QuantizationSimModel sim = make_sim();
    CHECK(set_activation_quantizers_to_float(sim, nodes_of_type({"Relu", "Gemm"}), kBfloat16) == 2);
    sim.graph().check();
    sim.executor().watch({"relu1", "relu1.qdq"});
    calibrate(sim);
    run(sim);
    Tensor expected = sim.executor().value("relu1");
    float_quantize_dequantize(expected.data(), kBfloat16, expected.data());
    CHECK(std::ranges::equal(sim.executor().value("relu1.qdq").data(), expected.data()));
    CHECK(sim.quantizer("relu1").encoding().is_float());
    // The quantizer of the input edge belongs to the node that reads it.
    CHECK(set_activation_quantizers_to_float(
              sim, [](const Node& node) { return node.name() == "conv1"; }) == 1);
    CHECK(sim.quantizer("conv1.input0").encoding().bitwidth == 16);
    CHECK(run(sim).shape() == Shape{4, 4});
  }

  TEST_CASE("a quantizer of a user's own takes the place of another") {
    QuantizationSimModel sim = make_sim();
    const auto count = sim.quantizers().size();
    QuantizerHandle lsq =
        replace_quantizer(sim.graph(), sim.quantizer("fc.weight"),
                          std::make_unique<LsqQuantizer>(QuantizerOptions{
                              .symmetry = Symmetry::symmetric, .axis = 0, .channels = 4}));
    CHECK(lsq.name() == "fc.weight");
    CHECK(sim.quantizers().size() == count);
    calibrate(sim);
    CHECK(sim.quantizer("fc.weight").encoding().channels() == 4);
    lsq.set_learned(true);
    CHECK(lsq.parameters()[0]->requires_grad());
    CHECK_FALSE(lsq.parameters()[1]->requires_grad());  // the zero point
  }

  TEST_CASE("what does not fit is refused by name, and nothing has changed") {
    QuantizationSimModel sim = make_sim();
    const std::string before = sim.graph().to_string();
    const auto all = nodes_of_type({"Conv", "Gemm"});
    const std::string blocks = message_of([&] {
      set_blockwise_quantization_for_weights(sim, all, {.block_size = 2});  // conv2 has 3 inputs
    });
    CHECK(blocks.find("conv2.weight") != std::string::npos);
    CHECK(blocks.find("3 input channels") != std::string::npos);
    CHECK(message_of([&] {
            set_activation_quantizers_to_float(sim, nodes_of_type({"Tanh"}));
          }).find("none of the nodes") != std::string::npos);
    CHECK(message_of([&] { nodes_named(sim.graph(), {"conv9"}); }).find("conv1") !=
          std::string::npos);
    CHECK_THROWS_AS(replace_quantizer(sim.graph(), sim.quantizer("fc.weight"),
                                      std::make_unique<AffineQuantizer>(
                                          QuantizerOptions{.axis = 0, .channels = 9})),
                    Error);
    CHECK(sim.graph().to_string() == before);
    calibrate(sim);
    sim.quantizer("fc.weight").freeze();
    CHECK(message_of([&] {
            set_blockwise_quantization_for_weights(sim, nodes_of_type({"Gemm"}), {.block_size = 4});
          }).find("frozen") != std::string::npos);
  }
}
