// The rules in which versions of AIMET differ, each switched on and off. That AIMET 2.42 does what
// they say is checked by tests/golden/test_placement.cpp.

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/ops/activations.h"
#include "rung/ops/arithmetic.h"
#include "rung/ops/layers.h"
#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

using Names = std::vector<std::string>;

/// Returns a configuration that quantizes all outputs and the input, with this object "rung".
std::string with_rule(const std::string& rule, const std::string& more = "",
                      const std::string& op_type = "{}", const std::string& groups = "") {
  return R"({"rung": {)" + rule + R"(}, "defaults": {"ops": {"is_output_quantized": true},
             "params": {"is_quantized": false})" +
         more + R"(}, "params": {}, "op_type": )" + op_type + R"(, "supergroups": [)" + groups +
         R"(], "model_input": {"is_input_quantized": true}, "model_output": {}})";
}

bool are_one(QuantizationSimModel& sim, const char* a, const char* b) {
  return sim.quantizer(a).parameters() == sim.quantizer(b).parameters();
}

bool has_quantizer(QuantizationSimModel& sim, const std::string& name) {
  const Names names = names_of(sim);
  return std::ranges::find(names, name) != names.end();
}

PlacementReason reason(const QuantizationSimModel& sim, const std::string& quantizer) {
  for (const PlacementReason& each : sim.placement_reasons())
    if (each.quantizer == quantizer) return each;
  FAIL("nobody explains " << quantizer);
  return {};
}

Var conv(Var x, const char* name, std::int64_t groups = 1) {
  return nn::conv2d(x, {.out_channels = 4, .kernel = 1, .groups = groups}, name);
}

Var constant(Var x, const char* name, Tensor value) {
  return x.graph().parameter(name, std::move(value), Role::buffer);
}

void fill_weights(QuantizationSimModel& sim) {
  Rng rng(3);
  for (Parameter* parameter : sim.graph().parameters(Role::weight))
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal());
}

void calibrate(QuantizationSimModel& sim, const Tensor& x = random_tensor({2, 4, 4, 4}, 1)) {
  sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
}

/// x -> a -> pool; x -> b -> turned; both and x -> cat -> c.
Graph concat_net() {
  Graph graph;
  const Var x = graph.input("x", {1, 4, 4, 4});
  const Var a = nn::max_pool2d(conv(x, "a"), {.kernel = 1}, "pool");
  const Var b = nn::transpose(conv(x, "b"), {0, 1, 3, 2}, "turned");
  graph.set_outputs({conv(nn::concat({a, b, x}, {.axis = 1}, "cat"), "c")});
  return graph;
}

}  // namespace

TEST_SUITE("quantsim: rules of versions") {
  TEST_CASE("outputs of ops that only move numbers") {
    const Graph graph = concat_net();
    const auto has = [&](const char* name, const std::string& rule, const char* op_type = "{}") {
      QuantizationSimModel sim = make_sim(graph, with_rule(rule, "", op_type));
      return has_quantizer(sim, name);
    };
    CHECK_FALSE(has("pool", ""));
    CHECK_FALSE(has("turned", R"("rules": "2.42")"));
    CHECK(has("pool", R"("rules": "2024.10")"));
    CHECK(has("turned", R"("quantize_data_movement": true)"));
    CHECK(has("pool", "", R"({"MaxPool": {}})"));  // op_type names the op
    CHECK_FALSE(has("turned", "", R"({"MaxPool": {}})"));
    QuantizationSimModel sim = make_sim(graph, with_rule(""));
    CHECK(reason(sim, "pool").why() ==
          "rung.quantize_data_movement (over defaults.ops.is_output_quantized)");
  }

  TEST_CASE("the inputs of a Concat and its output are one quantizer") {
    const Graph graph = concat_net();
    QuantizationSimModel own = make_sim(graph, with_rule(R"("share_concat_inputs": false)"));
    CHECK_FALSE(are_one(own, "cat", "b"));
    QuantizationSimModel sim = make_sim(graph, with_rule(""));
    CHECK(are_one(sim, "cat", "b"));           // through the Transpose
    CHECK(are_one(sim, "cat", "cat.input2"));  // the input of the network
    CHECK_FALSE(are_one(sim, "cat", "a"));     // not through a pooling
    CHECK_FALSE(are_one(sim, "cat", "a.input0"));
    CHECK_FALSE(are_one(sim, "cat", "c"));
    CHECK(reason(sim, "b").why() ==
          "defaults.ops.is_output_quantized (one with cat: rung.share_concat_inputs of cat)");
    CHECK(reason(sim, "cat").sharing_rule.empty());

    // Its range covers what all of them saw.
    Tensor x = random_tensor({2, 4, 4, 4}, 1);
    x.data()[0] = 100.0f;
    for (Parameter* parameter : sim.graph().parameters(Role::weight))
      for (float& v : parameter->edit().data()) v = 0.01f;
    calibrate(sim, x);
    CHECK(sim.quantizer("b").ranges().at(0).max > 99.0f);
    CHECK(sim.quantizer("a").ranges().at(0).max < 10.0f);
  }

  TEST_CASE("of two Concats behind each other both have the last one's quantizer") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    const Var a = conv(x, "a"), b = conv(x, "b");
    const Var first = nn::concat({a, b}, {.axis = 1}, "first");
    graph.set_outputs({nn::concat({conv(first, "c"), first}, {.axis = 1}, "second")});
    QuantizationSimModel sim = make_sim(graph, with_rule(""));
    for (const char* name : {"a", "b", "c", "first"})
      CHECK_MESSAGE(are_one(sim, "second", name), name);
  }

  TEST_CASE("a Relu behind an op with a quantizer") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    const Var a = conv(x, "a");
    const Var relu = nn::relu(a, "relu");
    graph.set_outputs({nn::add(a, nn::relu(conv(relu, "b"), "relu_b"), "add")});
    const std::string rule = R"("share_relu_quantizer": true)";
    QuantizationSimModel own = make_sim(graph, with_rule(""));
    CHECK_FALSE(are_one(own, "a", "relu"));
    QuantizationSimModel sim = make_sim(graph, with_rule(rule));
    CHECK(are_one(sim, "a", "relu"));
    CHECK(are_one(sim, "b", "relu_b"));
    // A fixed end would cut off what another reader needs.
    const char* fixed = R"({"Relu": {"encoding_constraints": {"min": 0}}})";
    QuantizationSimModel constrained = make_sim(graph, with_rule(rule, "", fixed));
    CHECK_FALSE(are_one(constrained, "a", "relu"));
    CHECK(are_one(constrained, "b", "relu_b"));
    fill_weights(constrained);
    calibrate(constrained);
    CHECK(constrained.quantizer("b").ranges().at(0).min == 0.0f);
    CHECK(constrained.quantizer("a").ranges().at(0).min < 0.0f);
    // In a group the Relu's is the only one.
    QuantizationSimModel fused =
        make_sim(graph, with_rule(rule, "", "{}", R"({"op_list": ["Conv", "Relu"]})"));
    CHECK_FALSE(has_quantizer(fused, "b"));
    CHECK(are_one(fused, "a", "relu"));
  }

  TEST_CASE("a Resize has the quantizer of what it reads on hardware") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    graph.set_outputs({conv(nn::upsample(conv(x, "a"), {.scale = 2}, "up"), "b")});
    const std::string hardware = R"(, "hw_version": "V73")";
    const auto is_one = [&](const std::string& rule, const std::string& more) {
      QuantizationSimModel sim = make_sim(graph, with_rule(rule, more));
      return are_one(sim, "a", "up");
    };
    CHECK(is_one("", hardware));
    CHECK_FALSE(is_one("", ""));
    CHECK_FALSE(is_one(R"("share_resize_quantizer": false)", hardware));
  }

  TEST_CASE("depthwise convolutions in supergroups") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    const Var a = nn::relu(conv(x, "a"), "relu_a"), b = nn::relu(conv(a, "b", 4), "relu_b");
    graph.set_outputs({nn::relu(conv(b, "c", 2), "relu_c")});
    const std::string group = R"({"op_list": ["Conv", "Relu"]})";
    const auto convolutions = [&](const std::string& rule) {
      QuantizationSimModel sim = make_sim(graph, with_rule(rule, "", "{}", group));
      Names names;
      for (const char* name : {"a", "b", "c"})
        if (has_quantizer(sim, name)) names.push_back(name);
      return names;
    };
    CHECK(convolutions("") == Names{});
    CHECK(convolutions(R"("fuse_depthwise": false)") == Names{"b"});
  }

  TEST_CASE("matches of supergroups may overlap or not, the longest first") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    graph.set_outputs(
        {nn::sigmoid(nn::relu(nn::relu(conv(x, "conv"), "relu1"), "relu2"), "sigmoid")});
    const std::string groups = R"({"op_list": ["Relu", "Sigmoid"]}, {"op_list": ["Relu", "Relu"]},
                                  {"op_list": ["Conv", "Relu"]})";
    const auto place = [&](const std::string& rule) {
      QuantizationSimModel sim = make_sim(graph, with_rule(rule, "", "{}", groups));
      return placed(sim);
    };
    CHECK(place("") == Names{"conv.input_quantizers.0", "sigmoid.output_quantizers.0"});
    CHECK(place(R"("disjoint_supergroups": true)") == Names{"conv.input_quantizers.0",
                                                            "relu1.output_quantizers.0",
                                                            "sigmoid.output_quantizers.0"});
  }

  TEST_CASE("products with constants") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    const auto number = [&](const char* name, float value) {
      return constant(x, name, Tensor::scalar(value));
    };
    Tensor factors({4, 1, 1});
    for (float& v : factors.data()) v = 2.0f;
    Var y = nn::mul(conv(x, "a"), number("two", 2.0f), "double");
    y = nn::div(conv(y, "b"), number("three", 3.0f), "third");
    y = nn::mul(conv(y, "c"), number("minus", -1.0f), "negative");
    y = nn::add(conv(y, "d"), number("one", 1.0f), "more");
    graph.set_outputs({nn::mul(conv(y, "e"), constant(x, "factors", factors), "scaled")});
    QuantizationSimModel sim = make_sim(graph, with_rule(""));
    for (const char* name : {"double", "third"})
      CHECK_FALSE_MESSAGE(has_quantizer(sim, name), name);
    for (const char* name : {"negative", "more", "scaled"})
      CHECK_MESSAGE(has_quantizer(sim, name), name);
    CHECK_FALSE(has_quantizer(sim, "scaled.input1"));
    QuantizationSimModel all = make_sim(graph, with_rule(R"("quantize_constant_products": true)"));
    CHECK(has_quantizer(all, "double"));

    QuantizationSimModel constants =
        make_sim(graph, with_rule(R"("quantize_constant_factors": true)"));
    REQUIRE(has_quantizer(constants, "scaled.input1"));
    CHECK_FALSE(has_quantizer(constants, "negative.input1"));  // one number
    CHECK(aimet_name(constants.quantizer("scaled.input1")) == "scaled.input_quantizers.1");
    CHECK(reason(constants, "scaled.input1").why() == "rung.quantize_constant_factors");
    calibrate(constants);
    CHECK(constants.quantizer("scaled.input1").ranges().at(0) == Range{0.0f, 2.0f});
  }

  TEST_CASE("constraints around zero are symmetric") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 4, 4});
    graph.set_outputs({nn::tanh(conv(x, "a"), "tanh")});
    const char* fixed = R"({"Tanh": {"encoding_constraints": {"min": -1, "max": 1}}})";
    QuantizationSimModel own = make_sim(graph, with_rule("", "", fixed));
    CHECK(own.quantizer("tanh").symmetry() == Symmetry::asymmetric);
    QuantizationSimModel sim =
        make_sim(graph, with_rule(R"("symmetric_constraints": true)", "", fixed));
    CHECK(sim.quantizer("tanh").symmetry() == Symmetry::symmetric);
    CHECK(sim.quantizer("tanh").frozen());
    CHECK(sim.quantizer("tanh").encoding().scale.at(0) == doctest::Approx(2.0 / 255));
  }

  TEST_CASE("a module that is called twice, by PyTorch's names") {
    const auto make_graph = [](const std::array<const char*, 3>& convolutions) {
      Graph graph;
      Var y = graph.input("x", {1, 4, 4, 4});
      std::string end;
      for (const char* name : convolutions) {
        y = nn::leaky_relu(conv(y, name), {}, "/act" + end + "/LeakyRelu");
        end = end.empty() ? "_1" : "_2";
      }
      graph.set_outputs({nn::sigmoid(y, "/gate_7/Sigmoid")});
      return graph;
    };
    const Graph graph = make_graph({"/conv1/Conv", "/conv2/Conv", "/conv3/Conv"});
    QuantizationSimModel own = make_sim(graph, with_rule(""));
    CHECK(has_quantizer(own, "/act_2/LeakyRelu"));
    QuantizationSimModel sim = make_sim(graph, with_rule(R"("skip_reused_layers": true)"));
    for (const char* name : {"/act/LeakyRelu", "/act_1/LeakyRelu", "/act_2/LeakyRelu"})
      CHECK_FALSE_MESSAGE(has_quantizer(sim, name), name);
    // Nothing else is called like the Sigmoid.
    for (const char* name : {"/conv1/Conv", "/conv2/Conv", "/gate_7/Sigmoid"})
      CHECK_MESSAGE(has_quantizer(sim, name), name);
    // What prepare_model makes: names lack the modules around them, as those of layers show.
    QuantizationSimModel prepared =
        make_sim(make_graph({"/conv/Conv", "/conv_1/Conv", "/conv_2/Conv"}),
                 with_rule(R"("skip_reused_layers": true)"));
    for (const char* name : {"/act/LeakyRelu", "/act_1/LeakyRelu", "/conv_1/Conv"})
      CHECK_MESSAGE(has_quantizer(prepared, name), name);
    const char* fixed = R"({"LeakyRelu": {"encoding_constraints": {"min": 0, "max": 1}}})";
    QuantizationSimModel constrained =
        make_sim(graph, with_rule(R"("skip_reused_layers": true)", "", fixed));
    CHECK(has_quantizer(constrained, "/act_1/LeakyRelu"));
  }
}
