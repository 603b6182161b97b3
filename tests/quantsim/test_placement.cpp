#include <algorithm>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/ops/functions.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

using Names = std::vector<std::string>;

}  // namespace

TEST_SUITE("quantsim: placement") {
  TEST_CASE("the default configuration quantizes weights, outputs outside groups, and the input") {
    QuantizationSimModel sim(small_net());
    CHECK(placed(sim) == Names{"add.output_quantizers.0", "conv1.input_quantizers.0",
                               "conv1.param_quantizers.weight", "conv2.output_quantizers.0",
                               "conv2.param_quantizers.weight", "conv3.output_quantizers.0",
                               "conv3.param_quantizers.weight", "fc.output_quantizers.0",
                               "fc.param_quantizers.weight", "relu1.output_quantizers.0"});
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
          Names{"add.output_quantizers.0", "fc.output_quantizers.0", "relu1.output_quantizers.0"});
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

  TEST_CASE("to quantize an output is the op's own business, not to do it also its readers'") {
    const Graph graph = small_net();
    const auto both = [&](const char* relu, const char* reader) {
      return placed(graph, config("{}", "{}",
                                  std::string(R"({"Relu": {"is_output_quantized": )") + relu +
                                      R"(}, ")" + reader + R"(": {"is_input_quantized": true}})"));
    };
    CHECK(both("true", "Flatten") ==
          Names{"flatten.input_quantizers.0", "relu1.output_quantizers.0"});
    CHECK(both("false", "Flatten") == Names{"flatten.input_quantizers.0"});  // not a reader
    CHECK(both("true", "Conv") == Names{"conv1.input_quantizers.0", "conv2.input_quantizers.0",
                                        "conv3.input_quantizers.0", "relu1.output_quantizers.0"});
    CHECK_THROWS_WITH_AS(
        both("false", "Conv"),
        doctest::Contains("op_type[\"Relu\"].is_output_quantized of [Relu relu1] and "
                          "op_type[\"Conv\"].is_input_quantized of [Conv conv2]"),
        Error);
  }

  TEST_CASE("symmetry reaches the producers, the readers and the other readers of an input") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv1"), "relu1");
    Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv2");
    Var b = nn::sigmoid(x, "sigmoid");
    graph.set_outputs({nn::add(a, nn::leaky_relu(b, {}, "leaky"), "add")});
    const TemporaryFolder folder;
    const std::string file =
        folder.write("a.json", config(R"({"is_output_quantized": true})", "{}",
                                      R"({"Conv": {"is_input_quantized": true}, "LeakyRelu":
                            {"is_input_quantized": true}, "Sigmoid": {"is_symmetric": true}})"));
    QuantizationSimModel sim(graph, {.config_file = file});
    for (const char* name : {"relu1", "conv2.input0", "sigmoid", "leaky.input0"})
      CHECK_MESSAGE(sim.quantizer(name).symmetry() == Symmetry::symmetric, name);
    for (const char* name : {"conv1.input0", "conv1", "conv2", "leaky", "add"})
      CHECK_MESSAGE(sim.quantizer(name).symmetry() == Symmetry::asymmetric, name);
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

  TEST_CASE("a supergroup ends where a tensor has several readers or leaves the network") {
    const std::string on = R"({"is_output_quantized": true})";
    const std::string rest = R"("supergroups": [{"op_list": ["Conv", "Relu", "Conv"]},
                                {"op_list": ["Relu", "Conv"]}, {"op_list": ["Conv", "Relu"]}],
                                "model_input": {}, "model_output": {})";
    CHECK(placed(small_net(), config(on, "{}", "{}", rest)) ==
          Names{"add.output_quantizers.0", "conv2.output_quantizers.0", "conv3.output_quantizers.0",
                "fc.output_quantizers.0", "relu1.output_quantizers.0"});

    Graph graph;
    const Var x = graph.input("x", {1, 2, 6, 6});
    const Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "a");
    const Var b = nn::relu(a, "b");
    graph.set_outputs({nn::conv2d(b, {.out_channels = 3, .kernel = 3}, "c"), a});
    CHECK(placed(graph, config(on, "{}", "{}", rest)) ==
          Names{"a.output_quantizers.0", "c.output_quantizers.0"});
  }

  TEST_CASE("the middle of a supergroup has no quantizer on either side") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::sigmoid(nn::relu(nn::leaky_relu(x, {}, "leaky"), "relu"), "sigmoid");
    graph.set_outputs({x});
    const std::string inputs = R"({"LeakyRelu": {"is_input_quantized": true},
        "Relu": {"is_input_quantized": true}, "Sigmoid": {"is_input_quantized": true}})";
    const std::string rest =
        R"("supergroups": [{"op_list": ["LeakyRelu", "Relu", "Sigmoid"]}],
           "model_input": {}, "model_output": {})";
    CHECK(placed(graph, config(R"({"is_output_quantized": true})", "{}", inputs, rest)) ==
          Names{"leaky.input_quantizers.0", "sigmoid.output_quantizers.0"});
  }

  TEST_CASE("batch norms that can be folded are not seen by supergroups") {
    const auto build = [](bool with_norm, bool with_relu) {
      Graph graph;
      Var x = graph.input("x", {1, 2, 6, 6});
      x = nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv");
      if (with_norm) x = nn::batch_norm2d(x, {}, "bn");
      if (with_relu) x = nn::relu(x, "relu");
      graph.set_outputs({x});
      return graph;
    };
    const std::string on = R"({"is_output_quantized": true})", all = R"({"is_quantized": true})";
    const std::string rest = R"("supergroups": [{"op_list": ["Conv", "Relu"]}],
                                "model_input": {}, "model_output": {})";
    const Names conv{"conv.param_quantizers.bias", "conv.param_quantizers.weight"};
    const auto with = [&](std::string last) {
      Names names = conv;
      names.push_back(std::move(last));
      std::ranges::sort(names);
      return names;
    };
    CHECK(placed(build(true, true), config(on, all, "{}", rest)) ==
          with("relu.output_quantizers.0"));
    CHECK(placed(build(false, true), config(on, all, "{}", rest)) ==
          with("relu.output_quantizers.0"));
    CHECK(placed(build(true, false), config(on, all, "{}", rest)) ==
          with("bn.output_quantizers.0"));  // it takes over what the layer had
    CHECK(placed(build(true, false),
                 config(on, all, R"({"Conv": {"is_output_quantized": false}})", rest)) == conv);
    CHECK(placed(build(true, false), config("{}", all, R"({"BatchNormalization":
                 {"is_output_quantized": true, "is_input_quantized": true}})",
                                            rest)) == conv);
  }

  TEST_CASE("a batch norm that cannot be folded is an op like any other") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::relu(nn::batch_norm2d(nn::relu(x, "relu1"), {}, "bn"), "relu2");
    graph.set_outputs({x});
    const std::string rest = R"("supergroups": [{"op_list": ["Relu", "Relu"]},
                                {"op_list": ["BatchNormalization", "Relu"]}],
                                "model_input": {}, "model_output": {})";
    CHECK(placed(graph, config(R"({"is_output_quantized": true})", R"({"is_quantized": true})",
                               "{}", rest)) ==
          Names{"bn.param_quantizers.bias", "bn.param_quantizers.weight",
                "relu1.output_quantizers.0", "relu2.output_quantizers.0"});
  }

  TEST_CASE("params override defaults, op types override params") {
    const TemporaryFolder folder;
    const std::string file = folder.write("a.json", R"({
        "defaults": {"ops": {}, "params": {"is_quantized": true, "is_symmetric": true},
                     "per_channel_quantization": false},
        "params": {"weight": {"is_symmetric": false}, "bias": {"is_quantized": false}},
        "op_type": {"Gemm": {"params": {"weight": {"is_symmetric": true},
                                        "bias": {"is_quantized": true}}},
                    "Conv": {"per_channel_quantization": true}},
        "supergroups": [], "model_input": {}, "model_output": {}})");
    QuantizationSimModel sim(small_net(), {.config_file = file});
    CHECK(placed(sim) == Names{"conv1.param_quantizers.weight", "conv2.param_quantizers.weight",
                               "conv3.param_quantizers.weight", "fc.param_quantizers.bias",
                               "fc.param_quantizers.weight"});
    CHECK(sim.quantizer("conv1.weight").symmetry() == Symmetry::asymmetric);
    CHECK(sim.quantizer("fc.weight").symmetry() == Symmetry::symmetric);
    CHECK(sim.quantizer("fc.bias").symmetry() == Symmetry::symmetric);
    CHECK(sim.quantizer("conv1.weight").op().quantizer().axis() == 0);
    CHECK_FALSE(sim.quantizer("fc.weight").op().quantizer().axis().has_value());
  }

  TEST_CASE("strict and unsigned symmetric count for every symmetric quantizer") {
    const TemporaryFolder folder;
    for (const auto& [name, symmetry] : {std::pair{"strict", Symmetry::strict_symmetric},
                                         std::pair{"unsigned", Symmetry::unsigned_symmetric}}) {
      const std::string file = folder.write(
          "a.json",
          R"({"defaults": {"ops": {"is_output_quantized": true}, "params": {"is_quantized": true,
              "is_symmetric": true}, ")" +
              std::string(name) + R"(_symmetric": true}, "params": {}, "op_type":
              {"Gemm": {"is_symmetric": true}}, "supergroups": [], "model_input": {},
              "model_output": {}})");
      QuantizationSimModel sim(small_net(), {.config_file = file});
      CHECK(sim.quantizer("fc").symmetry() == symmetry);
      CHECK(sim.quantizer("fc.weight").symmetry() == symmetry);
      CHECK(sim.quantizer("relu1").symmetry() == Symmetry::asymmetric);
    }
  }

  TEST_CASE("model_input and model_output switch on what a supergroup or an op type took away") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 6, 6});
    const Var y = nn::add(nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv"), x, "add");
    graph.set_outputs({nn::relu(y, "relu")});
    const auto place = [&](const char* ends) {
      return placed(graph, config(R"({"is_output_quantized": true})", "{}",
                                  R"({"Add": {"is_input_quantized": true},
                               "Relu": {"is_output_quantized": false}})",
                                  R"("supergroups": [{"op_list": ["Conv", "Add", "Relu"]}], )" +
                                      std::string(ends)));
    };
    CHECK(place(R"("model_input": {}, "model_output": {})").empty());
    CHECK(place(R"("model_input": {"is_input_quantized": "True"},
                   "model_output": {"is_output_quantized": "True"})") ==
          Names{"add.input_quantizers.1", "conv.input_quantizers.0", "relu.output_quantizers.0"});
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

  TEST_CASE("a constraint of one side leaves the other one to calibration") {
    const TemporaryFolder folder;
    const std::string file = folder.write(
        "a.json", config(R"({"is_output_quantized": true})", R"({"is_quantized": true})",
                         R"({"Relu": {"encoding_constraints": {"max": 0.5}},
                             "Add": {"encoding_constraints": {"min": -64}}})"));
    QuantizationSimModel free(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    QuantizationSimModel sim(
        small_net(),
        {.quant_scheme = QuantScheme::training_range_learning_with_tf_init, .config_file = file});
    const auto run = [](Executor& executor) { executor.forward(random_tensor({4, 2, 6, 6}, 1)); };
    const auto check = [](QuantizationSimModel& checked, float add_max) {
      CHECK(checked.quantizer("relu1").ranges().at(0) == Range{0.0f, 0.5f});
      CHECK(checked.quantizer("add").ranges().at(0) == Range{-64.0f, add_max});
      CHECK_FALSE(checked.quantizer("relu1").frozen());
      // Only the side that was observed is trained.
      const auto requires_grad = [&](const char* name) {
        return checked.graph().parameter(name).requires_grad();
      };
      CHECK(requires_grad("relu1.qdq.min"));
      CHECK_FALSE(requires_grad("relu1.qdq.max"));
      CHECK_FALSE(requires_grad("add.qdq.min"));
      CHECK(requires_grad("add.qdq.max"));
    };
    sim.compute_encodings(run);
    free.compute_encodings(run);
    check(sim, sim.quantizer("add").ranges().at(0).max);
    CHECK(sim.quantizer("add").ranges().at(0).max > 0.5f);
    CHECK(free.quantizer("relu1").ranges().at(0).max > 0.5f);
    CHECK(free.quantizer("add").ranges().at(0).min > -64.0f);

    QuantizationSimModel back = QuantizationSimModel::from_state(sim.graph().clone(), sim.state());
    sim.quantizer("add").set_range({-1.0f, 1.0f});
    sim.compute_encodings(run);
    back.compute_encodings(run);
    check(sim, back.quantizer("add").ranges().at(0).max);
    check(back, sim.quantizer("add").ranges().at(0).max);
  }

  TEST_CASE("weights are quantized per channel along axis 0, in 2024 but not those of Gemm") {
    for (const char* config : {"default", "aimet_2_42", "aimet_2024_per_channel"}) {
      CAPTURE(config);
      QuantizationSimModel sim(small_net(), {.config_file = config});
      const Quantizer& conv = sim.quantizer("conv1.weight").op().quantizer();
      CHECK(conv.axis() == 0);
      CHECK(conv.channels() == 3);
      const bool is_2024 = std::string_view(config).find("2024") != std::string_view::npos;
      CHECK(sim.quantizer("fc.weight").op().quantizer().axis().has_value() == !is_2024);
      CHECK_FALSE(sim.quantizer("relu1").op().quantizer().axis().has_value());
    }
    for (const char* config : {"per_tensor", "aimet_2_42_per_tensor", "aimet_2024"}) {
      QuantizationSimModel sim(small_net(), {.config_file = config});
      CHECK_FALSE(sim.quantizer("conv1.weight").op().quantizer().axis().has_value());
    }
  }

  TEST_CASE("edge_bw is the bitwidth of the input, the logits, the first and the last weights") {
    QuantizationSimModel sim(small_net(),
                             {.default_output_bw = 4, .default_param_bw = 3, .edge_bw = 8});
    for (const char* name : {"conv1.input0", "conv1.weight", "fc.weight", "fc"})
      CHECK(sim.quantizer(name).bitwidth() == 8);
    for (const char* name : {"conv2.weight", "conv3.weight"})
      CHECK(sim.quantizer(name).bitwidth() == 3);
    for (const char* name : {"relu1", "conv2", "conv3", "add"})
      CHECK(sim.quantizer(name).bitwidth() == 4);
    CHECK(sim.quantizers().size() == 10);
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

  TEST_CASE("truth values get no quantizer, also at the end of the model") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 4, 4});
    const Var mask = nn::binary(x, nn::relu(x, "relu"), "Equal", "mask");
    graph.set_outputs({nn::where(mask, x, nn::unary(x, "Neg", "neg"), "chosen"), mask});
    QuantizationSimModel sim(graph);
    std::vector<std::string> names;
    for (const QuantizerHandle& each : sim.quantizers()) names.push_back(each.name());
    CHECK(std::ranges::count(names, "mask") == 0);
    CHECK(std::ranges::count(names, "chosen.input0") == 0);
    for (const char* name : {"relu", "neg", "chosen"}) CHECK(std::ranges::count(names, name) == 1);
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
