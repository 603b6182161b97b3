#include <algorithm>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "quantsim_net.h"
#include "rung/core/error.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "temporary_folder.h"

using namespace rung;

namespace {

std::vector<std::string> placed(QuantizationSimModel& sim) {
  std::vector<std::string> names;
  for (const QuantizerHandle& each : sim.quantizers()) names.push_back(each.aimet_name());
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> placed(const Graph& graph, const std::string& config) {
  const TemporaryFolder folder;
  QuantizationSimModel sim(graph, {.config_file = folder.write("config.json", config)});
  sim.graph().check();
  return placed(sim);
}

std::string config(const std::string& ops, const std::string& params, const std::string& op_type,
                   const std::string& rest = R"("supergroups": [], "model_input": {},
                                                "model_output": {})") {
  return R"({"defaults": {"ops": )" + ops + R"(, "params": )" + params +
         R"(}, "params": {}, "op_type": )" + op_type + ", " + rest + "}";
}

using Names = std::vector<std::string>;

}  // namespace

TEST_SUITE("quantsim: placement") {
  TEST_CASE("the default configuration quantizes weights, outputs outside groups, and the input") {
    QuantizationSimModel sim(small_net());
    CHECK(placed(sim) == Names{"add.output_quantizers.0", "conv1.input_quantizers.0",
                               "conv1.param_quantizers.weight", "conv2.output_quantizers.0",
                               "conv2.param_quantizers.weight", "conv3.output_quantizers.0",
                               "conv3.param_quantizers.weight", "fc.output_quantizers.0",
                               "fc.param_quantizers.weight", "flatten.output_quantizers.0",
                               "relu1.output_quantizers.0"});
    sim.graph().check();
    CHECK(sim.graph().outputs()[0]->name() == "fc.qdq");
    CHECK(sim.graph().node("conv2").inputs()[0]->name() == "relu1.qdq");
    CHECK(sim.graph().node("conv1").inputs()[0]->name() == "conv1.input0.qdq");
    CHECK(sim.graph().node("conv1").inputs()[1]->name() == "conv1.weight.qdq");
    CHECK(sim.graph().parameter("conv1.weight.qdq.min").role() == Role::encoding);
    CHECK_FALSE(sim.graph().parameter("conv1.weight.qdq.min").requires_grad());
  }

  TEST_CASE("a later level overrides an earlier one") {
    const Graph graph = small_net();
    const std::string on = R"({"is_output_quantized": true})";
    CHECK(placed(graph, config("{}", "{}", "{}")).empty());
    CHECK(placed(graph, config(on, "{}", R"({"Conv": {"is_output_quantized": false}})")) ==
          Names{"add.output_quantizers.0", "fc.output_quantizers.0", "flatten.output_quantizers.0",
                "relu1.output_quantizers.0"});
    CHECK(placed(graph, config("{}", R"({"is_quantized": true})",
                               R"({"Conv": {"params": {"weight": {"is_quantized": false}}}})")) ==
          Names{"conv1.param_quantizers.bias", "conv2.param_quantizers.bias",
                "conv3.param_quantizers.bias", "fc.param_quantizers.bias",
                "fc.param_quantizers.weight"});
    CHECK(placed(graph, config("{}", "{}", R"({"Add": {"is_input_quantized": true}})")) ==
          Names{"add.input_quantizers.0", "add.input_quantizers.1"});
    CHECK(placed(graph, config(on, "{}", R"({"Gemm": {"is_output_quantized": false}})",
                               R"("supergroups": [{"op_list": ["Add", "Flatten", "Gemm"]}],
                                  "model_input": {"is_input_quantized": true},
                                  "model_output": {"is_output_quantized": true})")) ==
          Names{"conv1.input_quantizers.0", "conv1.output_quantizers.0",
                "conv2.output_quantizers.0", "conv3.output_quantizers.0", "fc.output_quantizers.0",
                "relu1.output_quantizers.0"});
  }

  TEST_CASE("symmetry reaches the neighbours of an op") {
    const TemporaryFolder folder;
    const std::string file = folder.write("a.json", config(R"({"is_output_quantized": true})", "{}",
                                                           R"({"Add": {"is_symmetric": true}})"));
    QuantizationSimModel sim(small_net(), {.config_file = file});
    CHECK(sim.quantizer("add").symmetry() == Symmetry::symmetric);
    CHECK(sim.quantizer("conv2").symmetry() == Symmetry::symmetric);
    CHECK(sim.quantizer("conv3").symmetry() == Symmetry::symmetric);
    CHECK(sim.quantizer("relu1").symmetry() == Symmetry::asymmetric);
  }

  TEST_CASE("opposite wishes at one level are an error that names both ops") {
    const TemporaryFolder folder;
    const std::string file =
        folder.write("a.json", config("{}", "{}", R"({"Conv": {"is_output_quantized": true},
                                                   "Relu": {"is_symmetric": true},
                                                   "Add": {"is_symmetric": false}})"));
    CHECK_NOTHROW(QuantizationSimModel(small_net(), {.config_file = file}));
    const std::string clash =
        folder.write("b.json", config("{}", "{}", R"({"Relu": {"is_symmetric": true},
                                                    "Conv": {"is_symmetric": false}})"));
    CHECK_THROWS_WITH_AS(QuantizationSimModel(small_net(), {.config_file = clash}),
                         doctest::Contains("relu1"), Error);
  }

  TEST_CASE("encoding constraints give a range that stays") {
    const TemporaryFolder folder;
    const std::string file = folder.write(
        "a.json", config(R"({"is_output_quantized": true})", "{}",
                         R"({"Relu": {"encoding_constraints": {"min": 0.0, "max": 2.0}}})"));
    QuantizationSimModel sim(small_net(), {.config_file = file});
    const QuantizerHandle relu = sim.quantizer("relu1");
    CHECK(relu.frozen());
    CHECK(relu.ranges().at(0) == Range{0.0f, 2.0f});
  }

  TEST_CASE("per channel quantizes weights along axis 0, but not those of Gemm") {
    QuantizationSimModel sim(small_net(), {.config_file = "per_channel"});
    const Quantizer& conv = sim.quantizer("conv1.weight").op().quantizer();
    CHECK(conv.axis() == 0);
    CHECK(conv.channels() == 3);
    CHECK_FALSE(sim.quantizer("fc.weight").op().quantizer().axis().has_value());
    CHECK_FALSE(sim.quantizer("relu1").op().quantizer().axis().has_value());
  }

  TEST_CASE("edge_bw is the bitwidth of the input, the logits, the first and the last weights") {
    QuantizationSimModel sim(small_net(),
                             {.default_output_bw = 4, .default_param_bw = 3, .edge_bw = 8});
    for (const char* name : {"conv1.input0", "conv1.weight", "fc.weight", "fc"})
      CHECK(sim.quantizer(name).bitwidth() == 8);
    for (const char* name : {"conv2.weight", "conv3.weight"})
      CHECK(sim.quantizer(name).bitwidth() == 3);
    for (const char* name : {"relu1", "conv2", "conv3", "add", "flatten"})
      CHECK(sim.quantizer(name).bitwidth() == 4);
    CHECK(sim.quantizers().size() == 11);
  }

  TEST_CASE("a model input that two ops read has one range on two edges") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 4, 4});
    Var a = nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "a");
    Var b = nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "b");
    graph.set_outputs({nn::add(a, b, "add")});
    QuantizationSimModel sim(graph);
    CHECK(sim.quantizer("a.input0").parameters() ==
          sim.quantizer("b.input_quantizers.0").parameters());
  }

  TEST_CASE("wrong options and a model with quantizers are errors, and the model stays as it is") {
    Graph graph = small_net();
    const std::uint64_t version = graph.version();
    CHECK_THROWS_WITH_AS(QuantizationSimModel(graph, {.default_output_bw = 1}),
                         doctest::Contains("default_output_bw must be 2..32"), Error);
    CHECK_THROWS_AS(QuantizationSimModel(graph, {.default_param_bw = 33}), Error);
    CHECK_THROWS_AS(QuantizationSimModel(graph, {.edge_bw = 0}), Error);
    CHECK_THROWS_AS(QuantizationSimModel(graph, {.config_file = "no/such.json"}), Error);
    QuantizationSimModel sim(graph);
    CHECK(graph.version() == version);
    CHECK_THROWS_WITH_AS(QuantizationSimModel(sim.graph()), doctest::Contains("already has"),
                         Error);
    CHECK_THROWS_WITH_AS(sim.quantizer("conv1.weigth"), doctest::Contains("conv1.weight"), Error);
  }

  TEST_CASE("schemes have AIMET's names and short ones") {
    for (const char* name :
         {"tf", "tf_enhanced", "percentile", "range_learning_tf", "range_learning_tf_enhanced"})
      CHECK(parse_quant_scheme(to_string(parse_quant_scheme(name))) == parse_quant_scheme(name));
    CHECK(to_string(parse_quant_scheme("tf_enhanced")) == "post_training_tf_enhanced");
    CHECK_THROWS_WITH_AS(parse_quant_scheme("tff"), doctest::Contains("range_learning_tf"), Error);
  }
}
