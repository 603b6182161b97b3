#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/config_utils.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

PlacementReason reason(const QuantizationSimModel& sim, const std::string& quantizer) {
  for (const PlacementReason& each : sim.placement_reasons())
    if (each.quantizer == quantizer) return each;
  FAIL("nobody explains " << quantizer);
  return {};
}

std::string explain(const QuantizationSimModel& sim, const std::string& quantizer) {
  const PlacementReason found = reason(sim, quantizer);
  return found.state() + "  " + found.why();
}

/// Conv -> BN -> Relu -> Conv -> BN.
Graph norm_net() {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  x = nn::batch_norm2d(nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv1"), {}, "bn1");
  x = nn::conv2d(nn::relu(x, "relu1"), {.out_channels = 3, .kernel = 3}, "conv2");
  graph.set_outputs({nn::batch_norm2d(x, {}, "bn2")});
  return graph;
}

}  // namespace

TEST_SUITE("quantsim: reasons of placement") {
  TEST_CASE("no configuration explains quantizers that came with the graph") {
    QuantizationSimModel placed(small_net());
    placed.quantizer("relu1").disable();
    QuantizationSimModel sim = QuantizationSimModel::from_quantized(
        placed.graph().clone(), {.config_file = "per_tensor", .config_rules = "2024.10"});
    QuantizationSimModel restored =
        QuantizationSimModel::from_state(sim.graph().clone(), sim.state());
    for (QuantizationSimModel* each : {&sim, &restored}) {
      CHECK(each->is_imported());
      CHECK(each->warnings().empty());
      std::ostringstream text;
      text << *each;
      CHECK(text.str().find("quantizers, which came with its file\n") != std::string::npos);
      CHECK(text.str().find("configuration") == std::string::npos);
      CHECK(explain(*each, "conv1.weight") ==
            "quantizer 8 bit symmetric per channel  the imported file has one");
      CHECK(explain(*each, "conv1") == "none  the imported file has none");
      CHECK(explain(*each, "conv1.input0") ==
            "quantizer 8 bit asymmetric  the imported file has one");
      CHECK(explain(*each, "relu1") ==
            "quantizer 8 bit asymmetric disabled  the imported file has one, but disabled by hand");
      CHECK(each->placement_reasons().size() == placed.placement_reasons().size());
    }
    CHECK_FALSE(placed.is_imported());
  }

  TEST_CASE("every tensor of the float network is explained, in network order") {
    const Graph graph = small_net();
    QuantizationSimModel sim(graph);
    std::vector<std::string> lines;
    for (const PlacementReason& each : sim.placement_reasons())
      lines.push_back(
          each.tensor +
          (each.place == QuantizerPlace::edge ? " at " + each.quantizer : std::string()) + " | " +
          each.state() + " | " + each.why());
    CHECK(
        lines ==
        std::vector<std::string>{
            "x at conv1.input0 | quantizer 8 bit asymmetric | model_input.is_input_quantized",
            "conv1.weight | quantizer 8 bit symmetric per channel | defaults.params.is_quantized "
            "(symmetry: defaults.params.is_symmetric; per channel: "
            "op_type[\"Conv\"].per_channel_quantization)",
            "conv1.bias | none | params.bias.is_quantized (over defaults.params.is_quantized)",
            "conv1 | none | supergroups[0] Conv, Relu: inside (conv1, relu1) "
            "(over defaults.ops.is_output_quantized)",
            "relu1 | quantizer 8 bit asymmetric | defaults.ops.is_output_quantized",
            "conv2.weight | quantizer 8 bit symmetric per channel | defaults.params.is_quantized "
            "(symmetry: defaults.params.is_symmetric; per channel: "
            "op_type[\"Conv\"].per_channel_quantization)",
            "conv2.bias | none | params.bias.is_quantized (over defaults.params.is_quantized)",
            "conv2 | quantizer 8 bit asymmetric | defaults.ops.is_output_quantized",
            "conv3.weight | quantizer 8 bit symmetric per channel | defaults.params.is_quantized "
            "(symmetry: defaults.params.is_symmetric; per channel: "
            "op_type[\"Conv\"].per_channel_quantization)",
            "conv3.bias | none | params.bias.is_quantized (over defaults.params.is_quantized)",
            "conv3 | quantizer 8 bit asymmetric | defaults.ops.is_output_quantized",
            "add | quantizer 8 bit asymmetric | defaults.ops.is_output_quantized",
            "flatten | none | rung.quantize_data_movement (over defaults.ops.is_output_quantized)",
            "fc.weight | quantizer 8 bit symmetric per channel | defaults.params.is_quantized "
            "(symmetry: defaults.params.is_symmetric; per channel: "
            "op_type[\"Gemm\"].per_channel_quantization)",
            "fc.bias | none | params.bias.is_quantized (over defaults.params.is_quantized)",
            "fc | quantizer 8 bit asymmetric | defaults.ops.is_output_quantized"});
    std::set<std::string> explained, tensors;
    for (const PlacementReason& each : sim.placement_reasons()) explained.insert(each.tensor);
    for (const Value* value : graph.values()) tensors.insert(value->name());
    CHECK(explained == tensors);
  }

  TEST_CASE("batch norms that can be folded say so, statistics have no quantizer") {
    QuantizationSimModel sim(norm_net());
    CHECK(explain(sim, "bn1") ==
          "none  supergroups[0] Conv, Relu: inside (conv1, relu1); bn1 can be folded into conv1 "
          "(over defaults.ops.is_output_quantized)");
    CHECK(explain(sim, "bn1.weight") ==
          "none  bn1 can be folded into conv1 (over defaults.params.is_quantized)");
    CHECK(explain(sim, "conv2") ==
          "none  bn2 can be folded into conv2 (over defaults.ops.is_output_quantized)");
    CHECK(explain(sim, "bn2") ==
          "quantizer 8 bit asymmetric  defaults.ops.is_output_quantized; bn2 can be folded into "
          "conv2");
    CHECK(explain(sim, "bn2.running_mean") == "none  statistics have no quantizer");
  }

  TEST_CASE("rules come in order of precedence, with the settings that they overruled") {
    const std::string text =
        R"({"rung": {"quantize_data_movement": true},
            "defaults": {"ops": {"is_output_quantized": true}, "params": {"is_quantized": false},
            "per_channel_quantization": true},
            "params": {"weight": {"is_quantized": true}},
            "op_type": {"Gemm": {"is_output_quantized": false, "is_symmetric": true,
                                 "per_channel_quantization": false,
                                 "params": {"weight": {"is_quantized": false}}}},
            "supergroups": [{"op_list": ["Flatten", "Gemm"]},
                            {"op_list": ["Add", "Flatten", "Gemm"]}],
            "model_input": {}, "model_output": {"is_output_quantized": true}})";
    QuantizationSimModel sim = make_sim(small_net(), text, {.default_param_bw = 4, .edge_bw = 8});
    CHECK(reason(sim, "fc").rules ==
          std::vector<PlacementRule>{{"defaults.ops.is_output_quantized", true},
                                     {"op_type[\"Gemm\"].is_output_quantized", false},
                                     {"model_output.is_output_quantized", true}});
    CHECK(explain(sim, "fc") ==
          "quantizer 8 bit symmetric  model_output.is_output_quantized (over "
          "op_type[\"Gemm\"].is_output_quantized; bits: edge_bw; symmetry: "
          "op_type[\"Gemm\"].is_symmetric)");
    CHECK(explain(sim, "fc.weight") ==
          "none  op_type[\"Gemm\"].params.weight.is_quantized (over params.weight.is_quantized)");
    CHECK(explain(sim, "fc.bias") == "none  defaults.params.is_quantized");
    CHECK(explain(sim, "conv2.weight") ==
          "quantizer 4 bit asymmetric per channel  params.weight.is_quantized (over "
          "defaults.params.is_quantized; per channel: defaults.per_channel_quantization)");
    // The longest supergroup is tried first.
    CHECK(explain(sim, "flatten").find("supergroups[1] Add, Flatten, Gemm: inside (add, ") !=
          std::string::npos);
    CHECK(explain(sim, "conv1.input0") == "none  no setting asks for one");
  }

  TEST_CASE("a neighbour's wish and an edge's quantizer are explained") {
    QuantizationSimModel sim =
        make_sim(small_net(), config("{}", "{}", R"({"Conv": {"is_input_quantized": true},
                                                     "Relu": {"is_symmetric": true}})"));
    CHECK(explain(sim, "conv2.input0") ==
          "quantizer 8 bit symmetric  op_type[\"Conv\"].is_input_quantized (symmetry: "
          "op_type[\"Relu\"].is_symmetric of relu1)");
    CHECK(reason(sim, "conv2.input0").tensor == "relu1");
    CHECK(reason(sim, "conv2.input0").place == QuantizerPlace::edge);
  }

  TEST_CASE("what was changed by hand is told") {
    QuantizationSimModel sim(small_net());
    sim.compute_encodings([](Executor& executor) {
      executor.forward(random_tensor({2, 2, 6, 6}, 1));
    });
    CHECK(reason(sim, "relu1").by_hand.empty());
    sim.quantizer("relu1").disable();
    sim.quantizer("add").set_bitwidth(4);
    sim.quantizer("add").set_symmetric(true);
    sim.quantizer("conv3.weight").set_bitwidth(5);
    sim.quantizer("conv3.weight").disable();
    sim.graph().bypass_node(sim.graph().node("conv2.qdq"));
    sim.graph().bypass_node(sim.graph().node("conv1.input0.qdq"));
    auto own = std::make_unique<QuantizeDequantize>();
    const auto extra = add_quantizer_parameters(sim.graph(), own->quantizer(), "conv1.qdq");
    sim.graph().insert_after(sim.graph().value("conv1"), std::move(own), extra, "conv1.qdq");

    CHECK(explain(sim, "relu1") ==
          "quantizer 8 bit asymmetric disabled  defaults.ops.is_output_quantized, but disabled by "
          "hand");
    CHECK(reason(sim, "add").by_hand == "bitwidth and symmetry changed by hand");
    CHECK(explain(sim, "conv2") == "none  defaults.ops.is_output_quantized, but removed by hand");
    CHECK(explain(sim, "conv1.input0") ==
          "none  model_input.is_input_quantized, but removed by hand");
    CHECK(reason(sim, "conv3.weight").by_hand == "bitwidth changed by hand, disabled by hand");
    CHECK(reason(sim, "conv1").by_hand == "added by hand");
    CHECK(reason(sim, "conv1").is_enabled);
    // The same after saving.
    const auto back = QuantizationSimModel::from_state(sim.graph().clone(), sim.state());
    CHECK(explain(back, "conv2") == explain(sim, "conv2"));
    CHECK(back.placement_reasons().size() == sim.placement_reasons().size());
  }

  TEST_CASE("batch norms that are folded in simulation are explained as those that stay") {
    QuantizationSimModel kept(norm_net());
    QuantizationSimModel sim(norm_net(), {.batch_norms = BatchNormMode::fold_in_simulation});
    for (const PlacementReason& each : kept.placement_reasons()) {
      CAPTURE(each.quantizer);
      CHECK(explain(sim, each.quantizer) == explain(kept, each.quantizer));
    }
    for (const PlacementReason& each : sim.placement_reasons())
      CHECK_MESSAGE(each.by_hand.empty(), each.quantizer);
  }

  TEST_CASE("a quantizer of another kind is told") {
    QuantizationSimModel sim(small_net(), {.config_file = "per_channel"});
    set_activation_quantizers_to_float(sim, nodes_named(sim.graph(), {"relu1"}));
    set_blockwise_quantization_for_weights(sim, nodes_named(sim.graph(), {"conv2"}),
                                           {.bitwidth = 8, .block_size = 3});
    CHECK(explain(sim, "relu1") ==
          "quantizer float16  defaults.ops.is_output_quantized, but kind changed by hand");
    CHECK(reason(sim, "conv2.weight").by_hand == "granularity changed by hand");
  }

  TEST_CASE("a quantizer with a name of its own is listed at the end") {
    QuantizationSimModel sim(small_net());
    auto own = std::make_unique<QuantizeDequantize>();
    const auto extra = add_quantizer_parameters(sim.graph(), own->quantizer(), "mine");
    sim.graph().insert_after(sim.graph().value("conv1"), std::move(own), extra, "mine");
    const PlacementReason last = sim.placement_reasons().back();
    CHECK(last.quantizer == "mine");
    CHECK(last.tensor == "conv1");
    CHECK(last.by_hand == "added by hand");
  }
}
