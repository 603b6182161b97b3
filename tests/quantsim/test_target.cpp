// What a target machine has to say: supported_kernels, hw_version, the built-in htp configuration.
// AIMET's results were not at hand; the tests check what its description says.

#include <cmath>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/graph/kernel.h"
#include "rung/models.h"
#include "rung/ops/layers.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

/// An op that a user brings along; what it computes does not matter here.
template <typename Derived>
struct UserOp : SimpleOp<Derived> {
  std::vector<Shape> infer(std::span<const Shape> inputs) const override { return {inputs[0]}; }
  void forward(const Io& io) const { std::ranges::copy(io.input(0).span(), io.output(0).data); }
  void backward(const GradIo& io) const {
    std::ranges::copy(io.output_grad(0).span(), io.input_grad(0).data);
  }
};
struct MatMul : UserOp<MatMul> {
  static constexpr std::string_view kType = "MatMul";
};
struct GroupNormalization : UserOp<GroupNormalization> {
  static constexpr std::string_view kType = "GroupNormalization";
};
struct Rellu : UserOp<Rellu> {
  static constexpr std::string_view kType = "Rellu";
};

/// (x -> relu_a -> flatten_a), (x -> sigmoid_b) -> matmul -> norm, with weight and bias.
Graph user_net() {
  Graph graph;
  const Var x = graph.input("x", {1, 2, 3, 3});
  const Var a = nn::flatten(nn::relu(x, "relu_a"), "flatten_a");
  const Var b = nn::flatten(nn::sigmoid(x, "sigmoid_b"), "flatten_b");
  Var y = graph.add(std::make_unique<MatMul>(), {a, b}, "matmul");
  const Var weight = graph.parameter("norm.weight", Tensor({2}), Role::norm);
  const Var bias = graph.parameter("norm.bias", Tensor({2}), Role::norm);
  y = graph.add(std::make_unique<GroupNormalization>(), {y, weight, bias}, "norm");
  graph.set_outputs({y});
  return graph;
}

std::string with_defaults(const std::string& more, const std::string& op_type = "{}") {
  return R"({"defaults": {"ops": {"is_output_quantized": true},
             "params": {"is_quantized": true, "is_symmetric": true}, )" +
         more + R"(}, "params": {}, "op_type": )" + op_type +
         R"(, "supergroups": [], "model_input": {"is_input_quantized": true}, "model_output": {}})";
}

/// Flatten has no quantizer: what comes through it is quantized further up.
QuantizationSimModel sim_for(const std::string& version, QuantSimOptions options) {
  return make_sim(user_net(),
                  with_defaults("\"hw_version\": \"" + version + "\"",
                                R"({"Flatten": {"is_output_quantized": false}})"),
                  std::move(options));
}

const char* const kKernels = R"("supported_kernels": [
    {"activation": {"bitwidth": 16, "dtype": "int"}, "param": {"bitwidth": 8, "dtype": "int"}},
    {"activation": {"bitwidth": 8, "dtype": "int"}, "param": {"bitwidth": 8, "dtype": "int"}}])";

bool contains(const std::vector<std::string>& lines, const std::string& text) {
  return std::ranges::any_of(
      lines, [&](const auto& line) { return line.find(text) != std::string::npos; });
}

}  // namespace

TEST_SUITE("quantsim: parameters of user-defined ops") {
  TEST_CASE("a parameter that two ops read has one quantizer, which they must agree about") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 3, 3});
    const Var weight = graph.parameter("shared.weight", Tensor({2}), Role::weight);
    Var y = graph.add(std::make_unique<MatMul>(), {x, weight}, "matmul");
    y = graph.add(std::make_unique<GroupNormalization>(), {y, weight}, "norm");
    graph.set_outputs({y});
    const auto op = [](const char* type, const char* is_quantized) {
      return std::string("\"") + type + R"(": {"params": {"weight": {"is_quantized": )" +
             is_quantized + "}}}";
    };
    const auto place = [&](const std::string& op_type) {
      return placed(graph, config("{}", "{}", "{" + op_type + "}"));
    };
    CHECK(place(op("MatMul", "true")) ==
          std::vector<std::string>{"matmul.param_quantizers.weight"});
    CHECK_THROWS_WITH_AS(
        place(op("MatMul", "true") + ", " + op("GroupNormalization", "false")),
        doctest::Contains("op_type[\"GroupNormalization\"].params.weight.is_quantized"), Error);
  }

  TEST_CASE("a scalar has no channels") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 3, 3});
    const Var scalar = graph.parameter("scale.weight", Tensor(Shape{}), Role::weight);
    graph.set_outputs({graph.add(std::make_unique<MatMul>(), {x, scalar}, "scale")});
    QuantizationSimModel sim(graph, {.config_file = "htp"});
    CHECK_FALSE(sim.quantizer("scale.weight").op().quantizer().axis().has_value());
  }
}

TEST_SUITE("quantsim: rules of hw_version") {
  TEST_CASE("up to V69 the second input of a dynamic MatMul has 8 bits and is symmetric") {
    for (const char* version : {"V66", "V68", "V69"}) {
      QuantizationSimModel sim = sim_for(version, {.default_output_bw = 16});
      CHECK(sim.quantizer("sigmoid_b").bitwidth() == 8);  // upstream of flatten_b
      CHECK(sim.quantizer("sigmoid_b").symmetry() == Symmetry::symmetric);
      CHECK(sim.quantizer("relu_a").bitwidth() == 16);
      CHECK(sim.quantizer("relu_a").symmetry() == Symmetry::asymmetric);
      CHECK(sim.quantizer("norm.weight").bitwidth() == 8);
    }
  }

  TEST_CASE("from V73 on a second input of 16 bits is symmetric and takes the first one along") {
    for (const char* version : {"V73", "V75", "V79", "V81", "V85"}) {
      QuantizationSimModel sim = sim_for(version, {.default_output_bw = 16});
      CHECK(sim.quantizer("sigmoid_b").symmetry() == Symmetry::symmetric);
      CHECK(sim.quantizer("relu_a").symmetry() == Symmetry::asymmetric);
      CHECK(sim.quantizer("relu_a").bitwidth() == 16);
      QuantizationSimModel narrow = sim_for(version, {.default_output_bw = 8});
      CHECK(narrow.quantizer("sigmoid_b").symmetry() == Symmetry::asymmetric);
    }
    // The network's input has the 16 bits of edge_bw, the other side 4.
    Graph graph;
    const Var x = graph.input("x", {1, 2, 3, 3});
    const Var a = nn::relu(x, "a");
    graph.set_outputs({nn::relu(graph.add(std::make_unique<MatMul>(), {a, x}, "matmul"), "b")});
    QuantizationSimModel sim = make_sim(graph, with_defaults(R"("hw_version": "V73")"),
                                        {.default_output_bw = 4, .edge_bw = 16});
    CHECK(sim.quantizer("a").bitwidth() == 16);
    CHECK(sim.quantizer("matmul.input1").symmetry() == Symmetry::symmetric);
    // The two edges of x now have different grids, and so ranges of their own.
    CHECK(sim.quantizer("a.input0").symmetry() == Symmetry::asymmetric);
    CHECK(sim.quantizer("a.input0").parameters() != sim.quantizer("matmul.input1").parameters());
  }

  TEST_CASE("from V73 on parameters of GroupNormalization are quantized like its output") {
    QuantizationSimModel sim = sim_for("V73", {.default_output_bw = 16, .default_param_bw = 4});
    for (const char* name : {"norm.weight", "norm.bias"}) {
      CHECK(sim.quantizer(name).bitwidth() == 16);
      CHECK(sim.quantizer(name).symmetry() == Symmetry::asymmetric);
    }
    QuantizationSimModel older = sim_for("V69", {.default_output_bw = 16, .default_param_bw = 4});
    CHECK(older.quantizer("norm.weight").bitwidth() == 4);
    CHECK(older.quantizer("norm.weight").symmetry() == Symmetry::symmetric);
  }

  TEST_CASE("an unknown version has no rules and is worth a warning") {
    QuantizationSimModel sim = sim_for("v73", {.default_output_bw = 16});
    CHECK(sim.quantizer("sigmoid_b").symmetry() == Symmetry::asymmetric);
    CHECK(contains(sim.warnings(), "defaults.hw_version"));
    CHECK(sim_for("V85", {}).warnings().empty());
  }
}

TEST_SUITE("quantsim: supported_kernels") {
  TEST_CASE("a pair that is not in the list is worth a warning") {
    const std::string text = with_defaults(kKernels);
    CHECK(make_sim(small_net(), text).warnings().empty());
    CHECK(make_sim(small_net(), text, {.default_output_bw = 16}).warnings().empty());
    QuantizationSimModel sim = make_sim(small_net(), text, {.default_param_bw = 4});
    CHECK(sim.quantizer("conv1.weight").bitwidth() == 4);
    const std::vector<std::string> warnings = sim.warnings();
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0] ==
          "defaults.supported_kernels: 8/4 (bits of activations/parameters) is not among 16/8, "
          "8/8: conv1, conv2, conv3 and 1 more");
    // Ops without parameters are only measured by their activations.
    QuantizationSimModel narrow = make_sim(small_net(), text, {.default_output_bw = 4});
    CHECK(contains(narrow.warnings(), ": 4 (bits"));
    CHECK(contains(narrow.warnings(), "relu1, add"));
    // A restored sim warns again.
    QuantizationSimModel back = QuantizationSimModel::from_state(sim.graph().clone(), sim.state());
    CHECK(back.warnings() == warnings);
  }

  TEST_CASE("enforced, the first pair of the defaults replaces what the list does not have") {
    const std::string text = with_defaults(kKernels);
    QuantSimOptions options{.default_param_bw = 4, .enforce_supported_kernels = true};
    QuantizationSimModel sim = make_sim(small_net(), text, options);
    CHECK(sim.quantizer("conv1.weight").bitwidth() == 8);
    CHECK(sim.quantizer("relu1").bitwidth() == 16);
    CHECK(sim.quantizer("conv1.input0").bitwidth() == 16);
    CHECK(sim.warnings().empty());
    CHECK(QuantizationSimModel::from_state(sim.graph().clone(), sim.state())
              .options()
              .enforce_supported_kernels);
    // What is in the list stays.
    options = {.default_output_bw = 8, .default_param_bw = 8, .enforce_supported_kernels = true};
    CHECK(make_sim(small_net(), text, options).quantizer("relu1").bitwidth() == 8);
  }

  TEST_CASE("enforced, an op type's list reaches its parameters, not its activations") {
    const std::string text = with_defaults(R"("per_channel_quantization": false)",
                                           R"({"Conv": {"supported_kernels": [
          {"activation": {"bitwidth": 16, "dtype": "int"},
           "param": {"bitwidth": 16, "dtype": "int"}}]}})");
    QuantizationSimModel sim = make_sim(small_net(), text, {.enforce_supported_kernels = true});
    CHECK(sim.quantizer("conv1.weight").bitwidth() == 16);
    CHECK(sim.quantizer("conv2").bitwidth() == 8);
    CHECK(sim.quantizer("fc.weight").bitwidth() == 8);
    CHECK(contains(sim.warnings(), "op_type[\"Conv\"].supported_kernels: 8/16"));
  }

  TEST_CASE("float16 kernels round weights to float16, activations only between such ops") {
    const char* half = R"({"supported_kernels": [
        {"activation": {"bitwidth": 16, "dtype": "float"},
         "param": {"bitwidth": 16, "dtype": "float"}}]})";
    const std::string text =
        with_defaults(R"("per_channel_quantization": true)",
                      R"({"Conv": )" + std::string(half) + R"(, "Add": )" + half + "}");
    QuantizationSimModel sim = make_sim(small_net(), text, {.enforce_supported_kernels = true});
    const auto is_half = [&](const char* name) {
      return sim.quantizer(name).op().quantizer().kind() == FloatQuantizer::kKind;
    };
    // Add reads conv2 and conv3, and is read by Flatten, which computes with integers.
    for (const char* name : {"conv1.weight", "conv3.weight", "conv2", "conv3", "conv1.input0"})
      CHECK_MESSAGE(is_half(name), name);
    for (const char* name : {"conv1", "relu1", "add", "fc.weight"})
      CHECK_FALSE_MESSAGE(is_half(name), name);
    CHECK(contains(sim.warnings(), "op_type[\"Conv\"].supported_kernels: 8/float16"));
    for (const PlacementReason& reason : sim.placement_reasons())
      if (reason.tensor == "conv2.weight") {
        CHECK(reason.state() == "quantizer float16");
        CHECK(reason.by_hand.empty());
      }
    sim.compute_encodings([](Executor& executor) {
      executor.forward(random_tensor({2, 2, 6, 6}, 1));
    });
    const Tensor logits = sim.executor().forward(random_tensor({2, 2, 6, 6}, 2));
    for (const float v : logits.data()) CHECK(std::isfinite(v));
    std::ostringstream table;
    table << sim;
    CHECK(table.str().find("conv2.weight") != std::string::npos);

    const std::string everywhere =
        with_defaults(std::string(half).substr(1, std::string(half).size() - 2));
    QuantizationSimModel all =
        make_sim(small_net(), everywhere, {.enforce_supported_kernels = true});
    for (const QuantizerHandle& each : all.quantizers())
      CHECK(each.op().quantizer().kind() == FloatQuantizer::kKind);
  }

  TEST_CASE("an override that loses precision is an error with its JSON path") {
    const auto refused = [](const std::string& kernel, int output_bw, const char* why) {
      const std::string list = "\"supported_kernels\": [" + kernel + "]";
      const QuantSimOptions options{.default_output_bw = output_bw,
                                    .enforce_supported_kernels = true};
      const std::string at_defaults = with_defaults(list);
      const std::string at_op =
          with_defaults(R"("per_channel_quantization": false)", R"({"Conv": {)" + list + "}}");
      CHECK_THROWS_WITH_AS(make_sim(small_net(), at_defaults, options), doctest::Contains(why),
                           Error);
      CHECK_THROWS_WITH_AS(make_sim(small_net(), at_defaults, options),
                           doctest::Contains("defaults.supported_kernels[0]"), Error);
      CHECK_THROWS_WITH_AS(make_sim(small_net(), at_op, options),
                           doctest::Contains("op_type[\"Conv\"].supported_kernels[0]"), Error);
    };
    refused(R"({"activation": {"bitwidth": 8, "dtype": "int"},
                "param": {"bitwidth": 8, "dtype": "int"}})",
            16, "less than the 16");
    refused(R"({"activation": {"bitwidth": 16, "dtype": "int"},
                "param": {"bitwidth": 4, "dtype": "int"}})",
            8, "less than the 8");
  }
}

TEST_SUITE("quantsim: configuration warnings") {
  TEST_CASE("op types that look misspelt are named with what was probably meant") {
    const auto warnings = [](const std::string& op_type, const std::string& supergroups) {
      return make_sim(small_net(), config("{}", "{}", op_type,
                                          "\"supergroups\": " + supergroups +
                                              R"(, "model_input": {}, "model_output": {})"))
          .warnings();
    };
    CHECK(warnings(R"({"conv": {}})", "[]") ==
          std::vector<std::string>{"op_type: there is no op type \"conv\"; did you mean Conv?"});
    CHECK(warnings("{}", R"([{"op_list": ["Conv", "Relu"]}, {"op_list": ["Conv", "Rellu"]}])") ==
          std::vector<std::string>{
              "supergroups[1].op_list: there is no op type \"Rellu\"; did you mean Relu?"});
    CHECK(warnings(R"({"Batchnormalisation": {}, "MaxPol": {}})", "[]").size() == 2);
    CHECK(warnings(R"({"Linear": {}})", "[]") ==
          std::vector<std::string>{"op_type: there is no op type \"Linear\"; did you mean Gemm?"});
    CHECK(warnings(R"({"DetectionOutput": {}})", R"([{"op_list": ["Conv", "MyOp"]}])") ==
          std::vector<std::string>{
              "op_type: there is no op type \"DetectionOutput\" in ONNX and none in this network: "
              "what is said of it has no effect",
              "supergroups[0].op_list: there is no op type \"MyOp\" in ONNX and none in this "
              "network: what is said of it has no effect"});
    // Those of ONNX that this network has not, or nobody here, are nothing to speak of.
    CHECK(warnings(R"({"PRelu": {}, "Elu": {}, "Sub": {}, "Mean": {}, "ConvTranspose": {},
                       "FoldedBatchNormalization": {}, "If": {}})",
                   R"([{"op_list": ["Conv", "HardSwish"]}])")
              .empty());
    for (const char* name : {"default", "aimet_2_42", "aimet_2024", "htp"})
      CHECK(QuantizationSimModel(small_net(), {.config_file = name}).warnings().empty());
  }

  TEST_CASE("an op type of the network is never misspelt") {
    Graph graph;
    const Var x = graph.input("x", {1, 2});
    graph.set_outputs({graph.add(std::make_unique<Rellu>(), {x}, "y")});
    CHECK(make_sim(graph, config("{}", "{}", R"({"Rellu": {}})")).warnings().empty());
  }

  TEST_CASE("unknown passes are worth a warning") {
    const std::string text = config("{}", "{}", "{}",
                                    R"("supergroups": [], "model_input": {}, "model_output": {},
                                       "supergroup_pass_list": ["MatmulAdd", "Unheard"])");
    const std::vector<std::string> unheard = make_sim(user_net(), text).warnings();
    REQUIRE(unheard.size() == 1);
    CHECK(unheard[0].find("supergroup_pass_list[1]: \"Unheard\"") != std::string::npos);
  }
}

TEST_SUITE("quantsim: htp configuration") {
  TEST_CASE("data movement takes the quantizer of its producer, weights are per channel") {
    QuantizationSimModel sim(small_net(), {.config_file = "htp"});
    CHECK(placed(sim) ==
          std::vector<std::string>{"add.output_quantizers.0", "conv1.input_quantizers.0",
                                   "conv1.param_quantizers.weight", "conv2.output_quantizers.0",
                                   "conv2.param_quantizers.weight", "conv3.output_quantizers.0",
                                   "conv3.param_quantizers.weight", "fc.output_quantizers.0",
                                   "fc.param_quantizers.weight", "relu1.output_quantizers.0"});
    CHECK(sim.quantizer("fc.weight").op().quantizer().channels() == 4);
    CHECK(sim.config().hw_version == "V73");
  }

  TEST_CASE("ranges that the op gives are fixed, groups have one quantizer") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    x = nn::leaky_relu(nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv"), {}, "leaky");
    x = nn::max_pool2d(nn::sigmoid(x, "sigmoid"), {.kernel = 2}, "pool");
    graph.set_outputs({nn::softmax(nn::flatten(x, "flatten"), {}, "softmax")});
    QuantizationSimModel sim(graph, {.config_file = "htp"});
    CHECK(placed(sim) ==
          std::vector<std::string>{"conv.input_quantizers.0", "conv.param_quantizers.weight",
                                   "leaky.output_quantizers.0", "sigmoid.output_quantizers.0",
                                   "softmax.output_quantizers.0"});
    for (const char* name : {"sigmoid", "softmax"}) {
      CHECK(sim.quantizer(name).frozen());
      CHECK(sim.quantizer(name).ranges().at(0) == Range{0.0f, 1.0f});
    }
  }

  TEST_CASE("a residual network can be calibrated with it") {
    Graph model = models::resnet8({.in_channels = 1, .num_classes = 10, .image_size = 28}, Rng(1));
    QuantizationSimModel sim(model, {.config_file = "htp"});
    sim.compute_encodings([](Executor& executor) {
      executor.forward(random_tensor({2, 1, 28, 28}, 1));
    });
    for (const QuantizerHandle& each : sim.quantizers()) {
      CAPTURE(each.name());
      CHECK(each.initialized());
      const bool is_relu =
          each.source().producer() != nullptr && each.source().producer()->type() == "Relu";
      if (is_relu) CHECK(each.ranges().at(0).min == 0.0f);
    }
    const Tensor logits = sim.executor().forward(random_tensor({2, 1, 28, 28}, 2));
    for (const float v : logits.data()) CHECK(std::isfinite(v));
  }
}
