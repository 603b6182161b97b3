#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/models.h"
#include "rung/nn/loss.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "rung/ptq/batch_norm.h"
#include "rung/quantsim/quantsim.h"
#include "support/train_step.h"

// Quantizers that run inside the kernels before them, against the same quantizers on their own.

using namespace rung;

namespace {

// Works on a copy: batch norms move their statistics.
StepResult step(const Graph& original, bool fuse, LayoutPolicy layout = LayoutPolicy::blocked) {
  Graph graph = original.clone();
  return train_step(graph, {.layout = layout, .fuse = fuse}, 3);
}

void check_same(const StepResult& fused, const StepResult& apart) {
  CHECK(std::ranges::equal(fused.logits.data(), apart.logits.data()));
  REQUIRE(fused.gradients.size() == apart.gradients.size());
  for (const auto& [name, gradient] : fused.gradients) {
    CAPTURE(name);
    CHECK(difference(gradient, apart.gradients.at(name)) <= 1e-6);
  }
}

// 21 channels are no multiple of any block, so that they are padded; 7 x 7 pixels leave a rest in
// every loop.
Graph network() {
  Graph graph;
  Var x = graph.input("x", {1, 3, 7, 7});
  const auto conv = [](Var in, std::int64_t channels, const std::string& name) {
    return nn::conv2d(in, {.out_channels = channels, .kernel = 3, .padding = 1, .bias = false},
                      name);
  };
  const auto block = [&](Var in, std::int64_t channels, const std::string& name) {
    const Var a = nn::relu(nn::batch_norm2d(conv(in, channels, name + ".conv1"), {}, name + ".bn1"),
                           name + ".relu1");
    const Var b = nn::batch_norm2d(conv(a, channels, name + ".conv2"), {}, name + ".bn2");
    return nn::relu(nn::add(a, b, name + ".add"), name + ".relu2");
  };
  x = block(block(x, 16, "one"), 21, "two");
  x = nn::add(x, nn::conv2d(x, {.out_channels = 21, .kernel = 1}, "side"), "join");
  x = nn::flatten(nn::global_avg_pool(x, "pool"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc")});
  nn::init_parameters(graph, Rng(1));
  return graph;
}

QuantizationSimModel simulate(const Graph& graph, QuantScheme scheme, int bits,
                              BatchNormMode batch_norms = BatchNormMode::keep) {
  QuantizationSimModel sim(graph, {.quant_scheme = scheme,
                                   .default_output_bw = bits,
                                   .default_param_bw = bits,
                                   .config_file = "per_channel",
                                   .batch_norms = batch_norms});
  sim.compute_encodings([](Executor& executor) {
    (void)executor.forward(noise(executor.graph().inputs()[0]->shape().with(0, 3), 9));
  });
  return sim;
}

}  // namespace

TEST_SUITE_BEGIN("exec fused quantizers");

TEST_CASE("a step with fused quantizers is a step with quantizers of their own") {
  for (const QuantScheme& scheme :
       {QuantScheme::post_training_tf, QuantScheme::post_training_percentile,
        QuantScheme::training_range_learning_with_tf_init, QuantScheme::training_lsq_with_tf_init})
    for (const std::string batch_norms : {"kept", "folded", "folded in simulation"})
      for (const int bits : {2, 4, 8}) {
        CAPTURE(to_string(scheme));
        CAPTURE(batch_norms);
        CAPTURE(bits);
        Graph graph = network();
        if (batch_norms == "folded") ptq::fold_all_batch_norms(graph);
        QuantizationSimModel sim =
            simulate(graph, scheme, bits,
                     batch_norms == "folded in simulation" ? BatchNormMode::fold_in_simulation
                                                           : BatchNormMode::keep);
        const StepResult fused = step(sim.graph(), true), apart = step(sim.graph(), false);
        check_same(fused, apart);
        CHECK(fused.plan.find("add+relu+qdq") != std::string::npos);
        CHECK(apart.plan.find("+qdq") == std::string::npos);
        check_same(step(sim.graph(), true, LayoutPolicy::plain),
                   step(sim.graph(), false, LayoutPolicy::plain));
      }
}

TEST_CASE("ranges cut off a part of the numbers in these steps, or masks would not be tested") {
  QuantizationSimModel sim = simulate(network(), QuantScheme::post_training_tf, 8);
  const StepResult whole = step(sim.graph(), true);
  for (QuantizerHandle quantizer : sim.quantizers())
    if (quantizer.name().find("relu") != std::string::npos) quantizer.set_range({0.0f, 0.5f});
  const StepResult cut = step(sim.graph(), true);
  check_same(cut, step(sim.graph(), false));
  CHECK(difference(cut.gradients.at("one.conv1.weight"), whole.gradients.at("one.conv1.weight")) >
        0.01);
}

TEST_CASE("a fused quantizer follows what it is told at run time") {
  QuantizationSimModel sim =
      simulate(network(), QuantScheme::training_range_learning_with_tf_init, 4);
  const Tensor x = noise({3, 3, 7, 7}, 3);
  Executor fused(sim.graph()), apart(sim.graph(), {.fuse = false});
  const auto same = [&] {
    return std::ranges::equal(fused.forward(x, Mode::train).data(),
                              apart.forward(x, Mode::train).data());
  };
  const Tensor before = fused.forward(x, Mode::train);
  QuantizerHandle quantizer = sim.quantizer("one.relu2");
  CHECK(same());
  quantizer.disable();
  CHECK(same());
  CHECK_FALSE(std::ranges::equal(before.data(), fused.forward(x, Mode::train).data()));
  quantizer.enable();
  for (const int bits : {8, 24, 32, 3}) {  // 24: codes that float cannot count, so it is on its own
    CAPTURE(bits);
    quantizer.set_bitwidth(bits);
    CHECK(same());
    const std::string plan = to_string(fused.plan());
    CHECK((plan.find("one.add + one.relu2 + one.relu2.qdq") != std::string::npos) == (bits != 24));
  }
  fused.watch({"one.relu2"});
  CHECK(same());
}

TEST_CASE("backward reads quantized numbers back from their codes, as long as these fit bytes") {
  for (const QuantScheme& scheme :
       {QuantScheme::post_training_tf, QuantScheme::training_range_learning_with_tf_init,
        QuantScheme::training_lsq_with_tf_init})
    for (const std::string batch_norms : {"kept", "folded"})
      for (const int bits : {4, 8}) {
        CAPTURE(to_string(scheme));
        CAPTURE(batch_norms);
        CAPTURE(bits);
        Graph graph = network();
        if (batch_norms == "folded") ptq::fold_all_batch_norms(graph);
        QuantizationSimModel sim = simulate(graph, scheme, bits);
        for (const bool fuse : {true, false}) {
          Graph codes = sim.graph().clone(), floats = sim.graph().clone();
          const StepResult a = train_step(codes, {.fuse = fuse}, 3),
                           b = train_step(floats, {.memory = MemoryPolicy::keep_all, .fuse = fuse},
                                          3);
          CHECK(std::ranges::equal(a.logits.data(), b.logits.data()));
          for (const auto& [name, gradient] : a.gradients) {
            CAPTURE(name);
            CHECK(std::ranges::equal(gradient.data(), b.gradients.at(name).data()));
          }
          CHECK(a.plan.find("from codes") != std::string::npos);
          CHECK(b.plan.find("codes") == std::string::npos);
        }
      }
}

TEST_CASE("whether numbers are kept as codes follows what quantizers are told at run time") {
  QuantizationSimModel sim = simulate(network(), QuantScheme::post_training_tf, 8);
  const Tensor x = noise({3, 3, 7, 7}, 3);
  Executor executor(sim.graph());
  QuantizerHandle quantizer = sim.quantizer("one.relu2");
  const auto kept_as_codes = [&] {
    (void)executor.forward(x, Mode::train);
    return to_string(executor.plan()).find("one.relu2.qdq to codes") != std::string::npos;
  };
  CHECK(kept_as_codes());
  quantizer.disable();
  CHECK_FALSE(kept_as_codes());
  quantizer.enable();
  CHECK(kept_as_codes());
  quantizer.set_bitwidth(9);
  CHECK_FALSE(kept_as_codes());
  quantizer.set_bitwidth(8);
  CHECK(kept_as_codes());
  executor.watch({quantizer.name()});  // somebody else reads it, too
  CHECK_FALSE(kept_as_codes());
}

TEST_CASE("in evaluation a convolution adds, but not to sums of codes") {
  Graph graph = network();
  ptq::fold_all_batch_norms(graph);
  const Tensor x = noise({3, 3, 7, 7}, 4);
  Executor fused(graph), apart(graph, {.fuse = false});
  CHECK(difference(fused.forward(x), apart.forward(x)) <= 1e-6);
  CHECK(to_string(fused.plan()).find("+add+relu") != std::string::npos);
  QuantizationSimModel sim = simulate(graph, QuantScheme::post_training_tf, 8);
  (void)sim.executor().forward(x);
  CHECK(to_string(sim.executor().plan()).find("+add+relu") == std::string::npos);
}

TEST_SUITE_END();
