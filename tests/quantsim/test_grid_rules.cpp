// Rules in which versions differ in numbers: 2-bit weights, weights that lie on a grid already, the
// floor of scales, and which estimator tf_enhanced is. They stay with a model in its file.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

QuantizationSimModel calibrated(const Graph& graph, int param_bw, const std::string& config) {
  QuantizationSimModel sim(graph, {.quant_scheme = QuantScheme::post_training_tf,
                                   .default_param_bw = param_bw,
                                   .config_file = config});
  calibrate_small_net(sim);
  return sim;
}

Encoding encoding_of(QuantizationSimModel& sim, const char* name = "conv2.weight") {
  return sim.quantizer(name).encoding();
}

QuantizationSimModel saved_and_loaded(const QuantizationSimModel& sim) {
  const TemporaryFolder folder;
  save_checkpoint(sim, folder.path("sim.rung"));
  return load_checkpoint(folder.path("sim.rung"));
}

}  // namespace

TEST_SUITE("quantsim: grid rules") {
  TEST_CASE("weights that were rounded keep their codes, unless October 2024's rules hold") {
    for (const char* config : {"per_tensor", "default", "aimet_2_42"}) {
      CAPTURE(config);
      const bool per_tensor = config == std::string("per_tensor");
      const std::string old_config = per_tensor ? "aimet_2024" : "aimet_2024_per_channel";
      QuantizationSimModel rounded = calibrated(small_net(), 4, config);
      const Encoding four = encoding_of(rounded, "conv1.weight");
      const Graph weights = rounded.get_original_model({.qdq_weights = true});
      QuantizationSimModel kept = calibrated(weights, 8, config);
      QuantizationSimModel loaded = saved_and_loaded(kept);
      calibrate_small_net(loaded);
      QuantizationSimModel old = calibrated(weights, 8, old_config);
      const auto scale = [](QuantizationSimModel& sim, std::size_t c) {
        return sim.quantizer("conv1.weight").encoding().scale.at(c);
      };
      for (std::size_t c = 0; c < four.scale.size(); ++c) {
        // A coarser grid will do where all codes of a channel are even.
        const double times = double{scale(kept, c)} / four.scale[c];
        CHECK(times == doctest::Approx(std::round(times)).epsilon(1e-6));
        CHECK(scale(loaded, c) == scale(kept, c));
        CHECK(scale(old, c) < 0.2 * four.scale[c]);
      }
      const ConstTensor w = weights.parameter("conv1.weight").value();
      const Tensor again = quantize_dequantize(w, encoding_of(kept, "conv1.weight"));
      for (std::size_t i = 0; i < w.data().size(); ++i)
        CHECK(again.data()[i] == doctest::Approx(w.data()[i]).epsilon(1e-6));
    }
  }

  TEST_CASE("2 bits of one-sided weights use all codes under 2.42's rules") {
    Graph graph = small_net();
    for (float& v : graph.parameter("conv2.weight").edit().data()) v = std::abs(v);
    QuantizationSimModel all = calibrated(graph, 2, "aimet_2_42_per_tensor");
    QuantizationSimModel old = calibrated(graph, 2, "aimet_2024");
    CHECK(2 * encoding_of(all).scale[0] == encoding_of(old).scale[0]);
    for (QuantizationSimModel* sim : {&all, &old}) {
      const float scale = encoding_of(*sim).scale[0];
      QuantizationSimModel loaded = saved_and_loaded(*sim);
      calibrate_small_net(loaded);
      CHECK(encoding_of(loaded).scale[0] == scale);
      CHECK(loaded.quantizer("conv2.weight").op().quantizer().options().grid_rules ==
            GridRules{sim == &all, sim == &all});
    }
    // In blocks, too.
    set_blockwise_quantization_for_weights(all, nodes_named(all.graph(), {"conv2"}),
                                           {.block_size = 1});
    CHECK(
        all.quantizer("conv2.weight").op().quantizer().options().grid_rules.use_all_two_bit_codes);
  }

  TEST_CASE("from 17 bits on constant data have a finer grid under 2.42's rules") {
    Graph graph = small_net();
    for (float& v : graph.parameter("conv2.weight").edit().data()) v = 0.0f;
    QuantizationSimModel fine = calibrated(graph, 24, "aimet_2_42_per_tensor");
    QuantizationSimModel old = calibrated(graph, 24, "aimet_2024");
    CHECK(encoding_of(fine).scale[0] == doctest::Approx(0.01 / ((1 << 24) - 1)));
    CHECK(encoding_of(old).scale[0] == doctest::Approx(kMinimumScale));
    CHECK(make_grid(16, Symmetry::symmetric, {.limit_encodings = true}).minimum_scale() ==
          kMinimumScale);
  }

  TEST_CASE("AIMET's tf_enhanced is the estimator that its version has") {
    const std::string now = config_rules("2.42").tf_enhanced;
    const std::string then = config_rules("2024.10").tf_enhanced;
    CHECK(aimet_scheme("tf_enhanced", now) == QuantScheme::post_training_tf_enhanced);
    CHECK(aimet_scheme("post_training_tf_enhanced", then) == QuantScheme::post_training_sqnr);
    CHECK(aimet_scheme("range_learning_tf_enhanced", then) ==
          QuantScheme::training_range_learning_with_sqnr_init);
    CHECK(aimet_scheme("min_max", now) == QuantScheme::post_training_tf);
    CHECK(aimet_scheme("sqnr", now) == QuantScheme::post_training_sqnr);
    CHECK(aimet_name(QuantScheme::post_training_sqnr, then) == "post_training_tf_enhanced");
    CHECK(aimet_name(QuantScheme::post_training_sqnr, now) == "post_training_sqnr");
    CHECK(aimet_name(QuantScheme::post_training_tf, then) == "post_training_tf");
    CHECK(short_name(QuantScheme::training_lsq_with_sqnr_init) == "lsq_sqnr");
    CHECK(QuantScheme{} == QuantScheme::post_training_sqnr);
  }

  TEST_CASE("the state of an older program means the estimator and the rules that it had") {
    QuantizationSimModel sim(small_net(), {.config_file = "aimet_2024"});
    nlohmann::json state = nlohmann::json::parse(sim.state());
    CHECK(QuantizationSimModel::from_state(sim.graph().clone(), state.dump())
              .options()
              .quant_scheme.estimator == "sqnr");
    state.erase("config_rules");
    state["quant_scheme"] = "post_training_tf_enhanced";
    nlohmann::json config = nlohmann::json::parse(state["config"].get<std::string>());
    config.erase("rung");
    state["config"] = config.dump();
    const QuantizationSimModel old =
        QuantizationSimModel::from_state(sim.graph().clone(), state.dump());
    CHECK(old.options().quant_scheme == QuantScheme::post_training_sqnr);
    CHECK(old.config().rules == config_rules("2024.10"));
    CHECK(name_of(old.config().rules) == "2024.10");
    // A new file says what it means.
    QuantizationSimModel new_one(
        small_net(),
        {.quant_scheme = QuantScheme::post_training_tf_enhanced, .config_file = "aimet_2024"});
    CHECK(saved_and_loaded(new_one).options().quant_scheme.estimator == "tf_enhanced");
  }
}
