// Files and methods of sims whose batch norms are folded in simulation: names are those of the
// network that is exported.

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using Json = nlohmann::json;

namespace {

/// conv1 -> bn1 -> relu1 -> conv2 -> bn2 -> flatten -> fc
Graph norm_net() {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  x = nn::conv2d(x, {.out_channels = 3, .kernel = 3, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu1");
  x = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv2");
  x = nn::flatten(nn::batch_norm2d(x, {}, "bn2"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc")});
  Rng rng(5);
  for (Parameter* parameter : graph.parameters()) {
    const bool positive = parameter->name().ends_with("running_var");
    for (float& v : parameter->edit().data())
      v = static_cast<float>(positive ? rng.uniform(0.3, 2.0) : rng.normal() * 0.3);
  }
  return graph;
}

QuantizationSimModel folding_sim(int param_bw = 8) {
  return QuantizationSimModel(norm_net(), {.default_param_bw = param_bw,
                                           .config_file = "per_channel",
                                           .batch_norms = BatchNormMode::fold_in_simulation});
}

QuantizationSimModel folded_sim() {
  Graph graph = norm_net();
  ptq::fold_all_batch_norms(graph);
  return QuantizationSimModel(graph, {.config_file = "per_channel"});
}

}  // namespace

TEST_SUITE("quantsim: files of batch norms folded in simulation") {
  TEST_CASE("a file goes from a sim that folds in simulation to one folded beforehand and back") {
    QuantizationSimModel sim = folding_sim(4);
    calibrate_small_net(sim);
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0", "2.1.0"})
      for (const bool by_module : {false, true}) {
        CAPTURE(version);
        CAPTURE(by_module);
        const std::string text = exported(sim, version, by_module);
        CHECK(text.find("folded") == std::string::npos);
        CHECK(text.find("bn") == std::string::npos);
        QuantizationSimModel folded = folded_sim(), again = folding_sim();
        folded.load_encodings(text, {.require_all = true});
        CHECK(exported(folded, version, by_module) ==
              [&] {  // but for the default bitwidth that it was made with
                Json json = Json::parse(text);
                if (json.contains("quantizer_args")) json["quantizer_args"]["param_bitwidth"] = 8;
                return json.dump(4);
              }());
        again.load_encodings(text, {.require_all = true});
        CHECK(fingerprint_encodings(again) == fingerprint_encodings(sim));
        CHECK(run_small_net(again) == run_small_net(sim));
      }
  }

  TEST_CASE("a file of the network with its batch norms kept names them, and loads as well") {
    QuantizationSimModel kept(norm_net(), {.config_file = "per_channel"});
    calibrate_small_net(kept);
    const std::string text = exported(kept, "1.0.0", true);
    REQUIRE(text.find("\"bn2\"") != std::string::npos);
    QuantizationSimModel sim = folding_sim();
    sim.load_encodings(text, {.require_all = true});
    CHECK(sim.quantizer("bn2").encoding().scale == kept.quantizer("bn2").encoding().scale);
  }

  TEST_CASE("get_activation_param_encodings has the names of the folded network") {
    QuantizationSimModel sim = folding_sim();
    calibrate_small_net(sim);
    const io::ModuleEncodingsFile file = sim.get_activation_param_encodings();
    for (const io::ModuleEncoding& each : file.activations)
      CHECK_MESSAGE(each.module.find("bn") == std::string::npos, each.module);
    for (const io::TensorEncoding& each : file.parameters)
      CHECK_MESSAGE(each.name.ends_with(".weight"), each.name);
  }

  TEST_CASE("parameters are excluded and layers left out with the batch norm behind them") {
    QuantizationSimModel sim = folding_sim();
    sim.exclude_param_from_quantization("weight");
    CHECK_FALSE(sim.quantizer("conv2.weight").enabled());
    sim.exclude_layers_from_quantization({"conv2"});
    sim.graph().check();
    for (const char* gone : {"conv2.weight", "bn2"})
      CHECK_THROWS_WITH_AS(sim.quantizer(gone), doctest::Contains(gone), Error);
    CHECK_THROWS_WITH_AS(sim.exclude_layers_from_quantization({"conv1.weight.folded"}),
                         doctest::Contains("conv1.weight.folded"), Error);
    CHECK_NOTHROW(sim.quantizer("conv1.weight"));
    calibrate_small_net(sim);
    CHECK_NOTHROW(run_small_net(sim));
    CHECK(Json::parse(exported(sim, "1.0.0", true)).at("excluded_layers") ==
          Json::array({"conv2"}));
  }

  TEST_CASE("compute_param_encodings sees folded weights") {
    QuantizationSimModel sim = folding_sim();
    calibrate_small_net(sim);
    const float before = sim.quantizer("conv1.weight").encoding().scale.at(0);
    for (float& gamma : sim.graph().parameter("bn1.weight").edit().data()) gamma *= 2.0f;
    sim.compute_param_encodings();
    CHECK(sim.quantizer("conv1.weight").encoding().scale.at(0) ==
          doctest::Approx(2.0f * before).epsilon(0.02));
  }

  TEST_CASE("a checkpoint goes on folding in simulation") {
    QuantizationSimModel sim = folding_sim();
    calibrate_small_net(sim);
    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("sim.rung"));
    QuantizationSimModel back = load_checkpoint(folder.path("sim.rung"));
    CHECK(back.state() == sim.state());
    CHECK(run_small_net(back) == run_small_net(sim));
    const Tensor x = random_tensor({4, 2, 6, 6}, 8);
    CHECK(values(back.executor().forward(x, Mode::train)) ==
          values(sim.executor().forward(x, Mode::train)));
    CHECK(values(back.graph().parameter("bn1.running_mean").value()) ==
          values(sim.graph().parameter("bn1.running_mean").value()));
  }
}
