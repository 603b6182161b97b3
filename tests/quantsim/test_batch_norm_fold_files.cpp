// What is written of a sim that folds batch norms in simulation, and read into one.

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/ops/ops.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "support/folding_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using namespace foldingtest;

namespace {

std::string bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_SUITE("quantsim: batch norms folded in simulation, in files") {
  TEST_CASE("what is exported is the folded network") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    train(sim, 2);
    sim.export_to(folder.path("simulated"), "net");
    CHECK(sim.graph().find_node("bn1") != nullptr);
    fold_simulated_batch_norms(sim.graph());
    sim.export_to(folder.path("folded"), "net");
    for (const char* name : {"net.safetensors", "net.encodings", "net_torch.encodings"}) {
      CAPTURE(name);
      const std::string file = bytes(folder.path("simulated/" + std::string(name)));
      CHECK_FALSE(file.empty());
      CHECK(file == bytes(folder.path("folded/" + std::string(name))));
    }
  }

  TEST_CASE("the float model has its batch norms again, and no quantizer is said to be by hand") {
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    train(sim, 2);
    Graph original = sim.get_original_model(), expected = block_net();
    original.check();
    const auto shape_of = [](const Graph& graph) {
      std::string text;
      for (const Node* node : graph.nodes())
        text.append(node->type()).append(" ").append(node->name()).append("\n");
      return text;
    };
    CHECK(shape_of(original) == shape_of(expected));
    CHECK(original.node("bn2").as<BatchNormalization>()->momentum == 0.3f);
    CHECK(original.node("bn2").as<BatchNormalization>()->epsilon == 1e-2f);
    for (Parameter* parameter : expected.parameters())
      parameter->edit().copy_from(sim.graph().parameter(parameter->name()).value());
    const Tensor x = random_tensor(kInput, 7);
    CHECK(numbers(Executor(original).forward(x)) == numbers(Executor(expected).forward(x)));
    for (const PlacementReason& reason : sim.placement_reasons()) {
      CAPTURE(reason.quantizer);
      CHECK(reason.by_hand.empty());
    }

    Graph baked = sim.get_original_model({.qdq_weights = true});
    CHECK(baked.find_node("bn1") == nullptr);
    QuantizerHandle weight = sim.quantizer("conv1.weight");
    const Encoding encoding = weight.encoding();
    fold_simulated_batch_norms(sim.graph());
    CHECK(numbers(baked.parameter("conv1.weight").value()) ==
          numbers(quantize_dequantize(sim.graph().parameter("conv1.weight").value(), encoding)));
  }

  TEST_CASE("encodings of the folded network can be loaded into the simulation, by either keying") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    sim.export_to(folder.path(), "net");
    for (const char* file : {"net.encodings", "net_torch.encodings"}) {
      CAPTURE(file);
      QuantizationSimModel loaded = in_simulation("per_channel");
      const LoadedEncodings report =
          loaded.load_encodings(folder.path(file), {.require_all = true});
      CHECK(report.missing.empty());
      for (const QuantizerHandle& each : sim.quantizers()) {
        CAPTURE(each.name());
        CHECK(loaded.quantizer(each.name()).encoding().scale == each.encoding().scale);
      }
    }
    QuantizationSimModel frozen = in_simulation("per_channel");
    frozen.set_and_freeze_param_encodings(folder.path("net_torch.encodings"));
    CHECK(frozen.quantizer("conv1.weight").frozen());
    CHECK_FALSE(frozen.quantizer("bn2").initialized());
  }

  TEST_CASE("a model file brings the simulation back, and training goes on as before") {
    const TemporaryFolder folder;
    QuantizationSimModel sim =
        in_simulation("per_channel", QuantScheme::training_range_learning_with_tf_init);
    calibrate(sim);
    train(sim, 2);
    io::save_model(folder.path("m.rung"), sim.graph(),
                   {.sections = {{"sim", sim.state()}}, .tensors = {}});
    io::ModelFile file = io::load_model(folder.path("m.rung"));
    QuantizationSimModel back =
        QuantizationSimModel::from_state(std::move(file.graph), file.sections.at("sim"));
    CHECK(back.options().batch_norms == BatchNormMode::fold_in_simulation);
    CHECK(back.state() == sim.state());
    CHECK(aimet_names(back) == aimet_names(sim));
    CHECK(run_all(back) == run_all(sim));
    train(back, 2);
    train(sim, 2);
    CHECK(run_all(back) == run_all(sim));
    fold_simulated_batch_norms(back.graph());
    CHECK(run_all(back) == run_all(sim));

    std::string state = sim.state();
    state[state.find("fold_in_simulation")] = 'h';
    CHECK_THROWS_WITH_AS(QuantizationSimModel::from_state(sim.graph().clone(), state),
                         doctest::Contains("batch_norms"), Error);
  }
}
