// save_checkpoint and load_checkpoint: a sim goes on from its file as if nothing had happened.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

/// small_net with dropout, so that the random state matters.
Graph dropout_net() {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  x = nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv1"), "relu1");
  x = nn::dropout(nn::flatten(x, "flatten"), {.ratio = 0.3f}, "dropout");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc")});
  Rng rng(5);
  for (Parameter* parameter : graph.parameters())
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal() * 0.3);
  return graph;
}

/// Trains some steps on batches from `first_seed` on, with a new optimizer, and returns the losses.
std::vector<double> train(QuantizationSimModel& sim, std::uint64_t first_seed) {
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.05});
  const std::vector<std::int64_t> labels = {0, 1, 2, 3};
  std::vector<double> losses;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const Tensor logits =
        sim.executor().forward(random_tensor({4, 2, 6, 6}, first_seed + step), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, labels);
    losses.push_back(loss.value);
    sgd.zero_grad();
    sim.executor().backward(loss.gradient);
    sgd.step();
  }
  return losses;
}

void check_same(QuantizationSimModel& a, QuantizationSimModel& b) {
  CHECK(a.state() == b.state());
  // Files have learned ranges as the next forward makes them.
  CHECK(run_small_net(a) == run_small_net(b));
  CHECK(fingerprint(a) == fingerprint(b));
  const std::vector<Parameter*> left = a.graph().parameters(), right = b.graph().parameters();
  REQUIRE(left.size() == right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    CAPTURE(left[i]->name());
    CHECK(left[i]->name() == right[i]->name());
    CHECK(left[i]->requires_grad() == right[i]->requires_grad());
    CHECK(values(left[i]->value()) == values(right[i]->value()));
  }
}

}  // namespace

TEST_SUITE("quantsim: checkpoints") {
  TEST_CASE("forward, calibration and training go on from a checkpoint bit for bit") {
    for (const QuantScheme& scheme : {QuantScheme::training_range_learning_with_tf_init,
                                      QuantScheme::post_training_tf_enhanced}) {
      CAPTURE(to_string(scheme));
      QuantizationSimModel sim(dropout_net(), {.quant_scheme = scheme,
                                               .default_param_bw = 4,
                                               .config_file = "aimet_2024_per_channel",
                                               .edge_bw = 8});
      calibrate_small_net(sim);
      sim.quantizer("fc").freeze();
      sim.quantizer("flatten").disable();
      sim.quantizer("relu1").set_bitwidth(6);
      train(sim, 10);
      const TemporaryFolder folder;
      save_checkpoint(sim, folder.path("sim.rung"));
      QuantizationSimModel back = load_checkpoint(folder.path("sim.rung"));
      check_same(back, sim);
      CHECK(train(back, 20) == train(sim, 20));
      check_same(back, sim);
      calibrate_small_net(sim);
      calibrate_small_net(back);
      check_same(back, sim);
    }
  }

  TEST_CASE("excluded layers, a percentile and shared quantizers survive a checkpoint") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_percentile});
    sim.set_percentile_value(99.0);
    sim.exclude_layers_from_quantization({"fc"});
    propagate_output_encodings(sim, "Add");
    calibrate_small_net(sim);
    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("sim.rung"));
    QuantizationSimModel back = load_checkpoint(folder.path("sim.rung"));
    check_same(back, sim);
    CHECK(back.excluded_layers() == std::vector<std::string>{"fc"});
    CHECK(to_string(back.quantizer("relu1").op().estimator()) == "percentile {percentile=99}");
    back.quantizer("add").set_bitwidth(4);
    CHECK(back.quantizer("conv2").bitwidth() == 4);
    CHECK(back.quantizer("conv3").bitwidth() == 4);
  }

  TEST_CASE("an uncalibrated sim can be saved and is calibrated later") {
    QuantizationSimModel sim(small_net());
    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("sim.rung"));
    QuantizationSimModel back = load_checkpoint(folder.path("sim.rung"));
    CHECK_FALSE(back.quantizer("relu1").initialized());
    calibrate_small_net(sim);
    calibrate_small_net(back);
    check_same(back, sim);
  }

  TEST_CASE("a checkpoint is a model file that keeps what else is put into it") {
    QuantizationSimModel sim(small_net());
    calibrate_small_net(sim);
    const TemporaryFolder folder;
    const std::string path = folder.path("sim.rung");
    save_checkpoint(
        sim, path, {.sections = {{"task", "{}"}}, .tensors = {{"momentum", Tensor::full({2}, 1)}}});
    io::ModelFile file = io::load_model(path);
    CHECK(has_checkpoint(file));
    CHECK(file.sections.at("task") == "{}");
    CHECK(file.tensors.at(0).first == "momentum");
    QuantizationSimModel back = load_checkpoint(std::move(file), path);
    check_same(back, sim);
    CHECK_THROWS_WITH_AS(save_checkpoint(sim, path, {.sections = {{"quantsim", "{}"}}}),
                         doctest::Contains("quantsim"), Error);
  }

  TEST_CASE("a float model, a missing file and a damaged state are refused with the path") {
    const TemporaryFolder folder;
    const std::string path = folder.path("x.rung");
    CHECK_THROWS_WITH_AS(load_checkpoint(path), doctest::Contains("x.rung"), Error);
    io::save_model(path, small_net());
    CHECK_THROWS_WITH_AS(load_checkpoint(path), doctest::Contains("x.rung: holds a float model"),
                         Error);
    QuantizationSimModel sim(small_net());
    for (const char* state : {"{}", "[", R"({"version": 2})"}) {
      io::save_model(path, sim.graph(), {.sections = {{"quantsim", state}}});
      CHECK_THROWS_WITH_AS(load_checkpoint(path), doctest::Contains("x.rung: quantization state"),
                           Error);
    }
    nlohmann::json state = nlohmann::json::parse(sim.state());
    state["step_count"] = -1;
    io::save_model(path, sim.graph(), {.sections = {{"quantsim", state.dump()}}});
    CHECK_THROWS_WITH_AS(load_checkpoint(path), doctest::Contains("step_count"), Error);
    io::save_model(path, small_net(), {.sections = {{"quantsim", sim.state()}}});
    CHECK_THROWS_WITH_AS(load_checkpoint(path), doctest::Contains("no quantizers"), Error);
  }
}
