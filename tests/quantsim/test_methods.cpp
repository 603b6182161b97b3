// Methods of the sim beyond calibration: parameters alone, several sims, leaving layers out, one
// quantizer in several places.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

bool has_quantizer(QuantizationSimModel& sim, std::string_view name) {
  return std::ranges::any_of(sim.quantizers(),
                             [&](const QuantizerHandle& each) { return each.name() == name; });
}

/// x -> conv1, conv2 -> concat1 (of conv1, conv2) -> concat2 (of x, a reshaped concat1) -> fc
Graph concat_net() {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  Var a = nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv1");
  Var b = nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv2");
  Var c = nn::concat({a, b}, {}, "concat1");
  c = nn::flatten(c, "flatten1");
  Var d = nn::concat({nn::flatten(x, "flatten2"), c}, {}, "concat2");
  graph.set_outputs({nn::linear(d, {.out_features = 4}, "fc")});
  Rng rng(5);
  for (Parameter* parameter : graph.parameters())
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal());
  return graph;
}

}  // namespace

TEST_SUITE("quantsim: methods") {
  TEST_CASE("compute_param_encodings follows the weights and leaves activations alone") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    calibrate_small_net(sim);
    const Range relu = sim.quantizer("relu1").ranges().at(0);
    const Range conv2 = sim.quantizer("conv2.weight").ranges().at(0);
    const Range conv3 = sim.quantizer("conv3.weight").ranges().at(0);
    for (Parameter* parameter : sim.graph().parameters(Role::weight))
      for (float& v : parameter->edit().data()) v *= 3.0f;
    CHECK(sim.quantizer("conv2.weight").ranges().at(0) == conv2);
    sim.quantizer("conv3.weight").freeze();
    sim.compute_param_encodings();
    CHECK(sim.quantizer("conv2.weight").ranges().at(0).max == doctest::Approx(3 * conv2.max));
    CHECK(sim.quantizer("conv3.weight").ranges().at(0) == conv3);
    CHECK(sim.quantizer("relu1").ranges().at(0) == relu);

    const std::string before = fingerprint(sim);
    sim.graph().parameter("fc.weight").edit().data()[0] = std::numeric_limits<float>::infinity();
    sim.graph().parameter("conv1.weight").edit().data()[0] = 9.0f;
    CHECK_THROWS_WITH_AS(sim.compute_param_encodings(), doctest::Contains("fc.weight"), Error);
    CHECK(fingerprint(sim) == before);
  }

  TEST_CASE("compute_param_encodings alone makes learned ranges trainable") {
    QuantizationSimModel sim(small_net(),
                             {.quant_scheme = QuantScheme::training_range_learning_with_tf_init});
    sim.compute_param_encodings();
    CHECK(sim.quantizer("fc.weight").learned());
    CHECK_FALSE(sim.quantizer("relu1").initialized());
  }

  TEST_CASE("compute_encodings_for_sims gives each sim what its own calibration would") {
    QuantizationSimModel a(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    QuantizationSimModel b(small_net(), {.default_param_bw = 4, .config_file = "per_channel"});
    QuantizationSimModel alone_a(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    QuantizationSimModel alone_b(small_net(),
                                 {.default_param_bw = 4, .config_file = "per_channel"});
    int passes = 0;
    compute_encodings_for_sims(std::vector{&a, &b}, [&](std::span<Executor* const> executors) {
      REQUIRE(executors.size() == 2);
      CHECK(executors[1] == &b.executor());
      for (const std::uint64_t seed : {1, 2}) {
        ++passes;
        for (Executor* executor : executors) executor->forward(random_tensor({4, 2, 6, 6}, seed));
      }
    });
    CHECK(passes == 2);
    calibrate_small_net(alone_a);
    calibrate_small_net(alone_b);
    CHECK(fingerprint(a) == fingerprint(alone_a));
    CHECK(fingerprint(b) == fingerprint(alone_b));
  }

  TEST_CASE("if one of several sims cannot be calibrated, all are as before") {
    QuantizationSimModel a(small_net()), b(small_net());
    calibrate_small_net(a);
    const std::string before_a = fingerprint(a), before_b = fingerprint(b);
    const auto only_first = [](std::span<Executor* const> executors) {
      executors[0]->forward(random_tensor({4, 2, 6, 6}, 7));
    };
    CHECK_THROWS_WITH_AS(compute_encodings_for_sims(std::vector{&a, &b}, only_first),
                         doctest::Contains("relu1"), Error);
    CHECK(fingerprint(a) == before_a);
    CHECK(fingerprint(b) == before_b);
    CHECK_THROWS_WITH_AS(compute_encodings_for_sims(std::vector{&a, &a}, only_first),
                         doctest::Contains("given twice"), Error);
    CHECK_THROWS_AS(compute_encodings_for_sims({}, only_first), Error);
    CHECK_THROWS_AS(compute_encodings_for_sims(std::vector{&a}, {}), Error);
  }

  TEST_CASE("reset_encoding_stats forgets a range, set_range_estimator finds the next") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    calibrate_small_net(sim);
    QuantizerHandle relu = sim.quantizer("relu1");
    const Range all = relu.ranges().at(0);
    relu.reset_encoding_stats();
    CHECK_FALSE(relu.initialized());
    CHECK_THROWS_WITH_AS(run_small_net(sim), doctest::Contains("relu1"), Error);
    relu.set_range_estimator(*make_percentile(90.0));
    calibrate_small_net(sim);
    CHECK(relu.ranges().at(0).max < all.max);
    relu.freeze();
    CHECK_THROWS_WITH_AS(relu.reset_encoding_stats(), doctest::Contains("relu1"), Error);
    CHECK(relu.initialized());
  }

  TEST_CASE("set_percentile_value reaches every quantizer of the scheme") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_percentile});
    sim.set_percentile_value(99.0);
    for (const QuantizerHandle& each : sim.quantizers())
      CHECK(to_string(each.op().estimator()) == "percentile {percentile=99}");
  }
}

TEST_SUITE("quantsim: excluded layers") {
  TEST_CASE("an excluded layer loses the quantizers of its input, output and parameters") {
    QuantizationSimModel sim(small_net());
    calibrate_small_net(sim);
    sim.exclude_layers_from_quantization({"fc", "conv1"});
    sim.graph().check();
    CHECK(sim.excluded_layers() == std::vector<std::string>{"conv1", "fc"});
    for (const char* name : {"conv1.input0", "conv1.weight", "fc.weight", "fc"})
      CHECK_FALSE(has_quantizer(sim, name));
    for (const char* name : {"relu1", "conv2.weight", "add"}) CHECK(has_quantizer(sim, name));
    for (const Parameter* parameter : sim.graph().parameters())
      CHECK_MESSAGE(parameter->name().find("fc.weight.qdq") == std::string::npos,
                    parameter->name());
    CHECK_NOTHROW(run_small_net(sim));
    // What is left is calibrated again behind a float conv1.
    calibrate_small_net(sim);
    CHECK_NOTHROW(run_small_net(sim));
  }

  TEST_CASE("without any quantizer left the sim computes what the float network does") {
    QuantizationSimModel sim(small_net());
    sim.exclude_layers_from_quantization(
        {"conv1", "relu1", "conv2", "conv3", "add", "flatten", "fc"});
    CHECK(sim.quantizers().empty());
    Graph graph = small_net();
    CHECK(run_small_net(sim) == values(Executor(graph).forward(random_tensor({4, 2, 6, 6}, 3))));
    CHECK_NOTHROW(QuantizationSimModel::from_state(sim.graph().clone(), sim.state()));
  }

  TEST_CASE("a prefix stands for all layers below it") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    {
      const Scope block(graph, "block");
      x = nn::relu(nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv"), "relu");
    }
    graph.set_outputs({nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "block2")});
    QuantizationSimModel sim(graph);
    sim.exclude_layers_from_quantization({"block"});
    CHECK_FALSE(has_quantizer(sim, "block.conv.weight"));
    CHECK_FALSE(has_quantizer(sim, "block.relu"));
    CHECK(has_quantizer(sim, "block2.weight"));
    CHECK(sim.excluded_layers() == std::vector<std::string>{"block"});
  }

  TEST_CASE("an unknown layer is named, and nothing is excluded") {
    QuantizationSimModel sim(small_net());
    const std::size_t count = sim.quantizers().size();
    CHECK_THROWS_WITH_AS(sim.exclude_layers_from_quantization({"fc", "conv22"}),
                         doctest::Contains("no layer 'conv22'; similar ones: conv2"), Error);
    CHECK_THROWS_WITH_AS(sim.exclude_layers_from_quantization({"relu1.qdq"}),
                         doctest::Contains("relu1.qdq"), Error);
    CHECK(sim.quantizers().size() == count);
    CHECK(sim.excluded_layers().empty());
  }

  TEST_CASE("a parameter that another layer reads, too, is not left half quantized") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    Var weight = graph.parameter("shared.weight", Tensor::full({2, 2, 1, 1}, 0.5f), Role::weight);
    const auto conv = [&](Var in, const char* name) {
      Graph other;
      nn::conv2d(other.input("x", {1, 2, 6, 6}), {.out_channels = 2, .kernel = 1, .bias = false},
                 name);
      return graph.add(other.node(name).op().clone(), {in, weight}, name);
    };
    graph.set_outputs({conv(conv(x, "conv1"), "conv2")});
    QuantizationSimModel sim(graph);
    CHECK_THROWS_WITH_AS(sim.exclude_layers_from_quantization({"conv1"}),
                         doctest::Contains("shared.weight of conv1 is read by conv2"), Error);
    CHECK(has_quantizer(sim, "shared.weight"));
    sim.exclude_layers_from_quantization({"conv1", "conv2"});
    CHECK_FALSE(has_quantizer(sim, "shared.weight"));
  }

  TEST_CASE("exclude_param_from_quantization disables all parameters of a name") {
    QuantizationSimModel sim(small_net());
    CHECK_THROWS_WITH_AS(sim.exclude_param_from_quantization("bias"),
                         doctest::Contains("'bias'; there are weight"), Error);
    sim.exclude_param_from_quantization("weight");
    for (const QuantizerHandle& each : sim.quantizers())
      CHECK(each.enabled() == (each.place() != QuantizerPlace::parameter));
    calibrate_small_net(sim);
    CHECK_FALSE(sim.quantizer("fc.weight").initialized());
  }
}

TEST_SUITE("quantsim: shared quantizers") {
  TEST_CASE("what is changed in one place is changed in all, enabled is each place's own") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv1");
    Var b = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv2");
    graph.set_outputs({nn::add(a, b, "add")});
    QuantizationSimModel sim(graph);
    calibrate_small_net(sim);
    QuantizerHandle first = sim.quantizer("conv1.input0"), second = sim.quantizer("conv2.input0");
    CHECK(first.parameters() == second.parameters());
    first.set_bitwidth(4);
    CHECK(second.bitwidth() == 4);
    CHECK(second.initialized());
    second.set_symmetric(true);
    CHECK(first.symmetry() == Symmetry::symmetric);
    first.set_range({-1.0f, 1.0f});
    CHECK(first.encoding().scale == second.encoding().scale);
    second.freeze();
    CHECK_THROWS_WITH_AS(first.set_bitwidth(8), doctest::Contains("conv1.input0"), Error);
    first.unfreeze();
    CHECK_FALSE(second.frozen());
    first.disable();
    CHECK(second.enabled());
    CHECK_NOTHROW(run_small_net(sim));
    first.reset_encoding_stats();
    CHECK_FALSE(second.initialized());
  }

  TEST_CASE("propagate_output_encodings: all inputs of a Concat share its output's quantizer") {
    QuantizationSimModel sim(
        concat_net(), {.quant_scheme = QuantScheme::post_training_tf, .config_file = "aimet_2024"});
    REQUIRE(has_quantizer(sim, "conv1"));
    propagate_output_encodings(sim, "Concat");
    sim.graph().check();
    const std::vector<Parameter*> shared = sim.quantizer("concat2").parameters();
    // concat2's inputs: flatten2 and, through it, x; flatten1 and, through it, concat1, whose
    // inputs share its quantizer in turn.
    for (const char* name :
         {"flatten1", "flatten2", "flatten2.input0", "concat1", "conv1", "conv2"}) {
      CAPTURE(name);
      CHECK(sim.quantizer(name).parameters() == shared);
    }
    for (const char* name : {"conv1.input0", "conv1.weight", "fc"}) {
      CAPTURE(name);
      CHECK(sim.quantizer(name).parameters() != shared);
    }
    calibrate_small_net(sim);
    // The range covers what every place saw: x is part of concat2's input, conv1's output as well.
    QuantizationSimModel separate(
        concat_net(), {.quant_scheme = QuantScheme::post_training_tf, .config_file = "aimet_2024"});
    calibrate_small_net(separate);
    Range all{};
    for (const char* name : {"flatten1", "flatten2", "concat1", "conv1", "conv2", "concat2"}) {
      const Range range = separate.quantizer(name).ranges().at(0);
      all = {std::min(all.min, range.min), std::max(all.max, range.max)};
    }
    CHECK(sim.quantizer("conv1").ranges().at(0) == all);
    CHECK(sim.quantizer("concat2").ranges().at(0) == all);
    CHECK_NOTHROW(run_small_net(sim));
  }

  TEST_CASE("a concatenation of shared grids is quantized already: its own quantizer is idle") {
    QuantizationSimModel sim(concat_net(), {.config_file = "aimet_2024"});
    propagate_output_encodings(sim, [](const Node& node) { return node.name() == "concat1"; });
    calibrate_small_net(sim);
    const std::vector<float> with = run_small_net(sim);
    sim.quantizer("concat1").disable();
    CHECK(run_small_net(sim) == with);
  }

  TEST_CASE("training moves the shared range once, by the gradients of all places") {
    QuantizationSimModel sim(concat_net(),
                             {.quant_scheme = QuantScheme::training_range_learning_with_tf_init,
                              .config_file = "aimet_2024"});
    propagate_output_encodings(sim, "Concat");
    calibrate_small_net(sim);
    Parameter& max = *sim.quantizer("conv1").parameters().at(1);
    max.edit().data()[0] *= 0.5f;  // so that something is clipped in several places
    sim.executor().forward(random_tensor({4, 2, 6, 6}, 1), Mode::train);
    sim.executor().backward(Tensor::full({4, 4}, 1.0f));
    CHECK(max.has_grad());
    CHECK(std::abs(max.grad().data()[0]) > 0.0f);
    CHECK(&max == sim.quantizer("concat2").parameters().at(1));
  }

  TEST_CASE("a graph input without a quantizer gets the shared one, a producer without stays so") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    Var y = nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv");
    graph.set_outputs({nn::concat({x, y}, {}, "concat")});
    QuantizationSimModel sim(graph);
    sim.exclude_layers_from_quantization({"conv"});
    REQUIRE(has_quantizer(sim, "concat.input0"));
    sim.graph().bypass_node(sim.graph().node("concat.input0.qdq"));
    propagate_output_encodings(sim, "Concat");
    CHECK(sim.quantizer("concat.input0").parameters() == sim.quantizer("concat").parameters());
    CHECK_FALSE(has_quantizer(sim, "conv"));
  }

  TEST_CASE("what cannot be propagated is named, and the graph is as before") {
    QuantizationSimModel sim(concat_net());
    const std::string before = sim.graph().to_string();
    CHECK_THROWS_WITH_AS(propagate_output_encodings(sim, "Split"), doctest::Contains("Split"),
                         Error);
    sim.quantizer("concat1").disable();
    CHECK_THROWS_WITH_AS(propagate_output_encodings(sim, "Concat"), doctest::Contains("concat1"),
                         Error);
    CHECK_THROWS_WITH_AS(propagate_output_encodings(sim, [](const Node&) { return false; }),
                         doctest::Contains("no op"), Error);
    sim.quantizer("concat1").enable();
    CHECK(sim.graph().to_string() == before);
  }
}
