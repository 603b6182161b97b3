#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/nn/data.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ptq/batch_norm.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "support/folding_net.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using namespace foldingtest;

namespace {

QuantizationSimModel folded_before(const std::string& config = "default",
                                   QuantScheme scheme = QuantScheme::post_training_tf) {
  Graph graph = block_net();
  CHECK(ptq::fold_all_batch_norms(graph, {.convert_standalone = false}).folded.size() == 3);
  return QuantizationSimModel(graph, options(config, scheme, BatchNormMode::keep));
}

/// What a quantizer is, without its name.
std::string description(const QuantizerHandle& quantizer) {
  std::string text = to_string(quantizer.encoding()) + (quantizer.learned() ? " learned" : "");
  for (const Parameter* parameter : quantizer.parameters())
    for (const float v : parameter->value().data()) (text += ' ') += std::to_string(v);
  return text;
}

std::vector<std::int32_t> codes(const QuantizerHandle& quantizer, Executor& executor) {
  const Value& source = quantizer.source();
  if (source.parameter() != nullptr)
    return quantize(source.parameter()->value().data(), source.shape(), quantizer.encoding());
  executor.watch({source.name()});
  executor.forward(random_tensor(kInput, 7));
  return quantize(executor.value(source.name()).data(), source.shape(), quantizer.encoding());
}

const std::vector<std::pair<std::string, QuantScheme>> kRuns = {
    {"default", QuantScheme::post_training_tf},
    {"per_channel", QuantScheme::post_training_tf_enhanced},
    {"default", QuantScheme::training_range_learning_with_tf_init},
    {"per_channel", QuantScheme::training_range_learning_with_tf_init}};

}  // namespace

TEST_SUITE("quantsim: batch norms folded in simulation") {
  TEST_CASE("quantizers are those of folding before, and weights get the same encodings") {
    for (const auto& [config, scheme] : kRuns) {
      CAPTURE(config);
      QuantizationSimModel simulated = in_simulation(config, scheme);
      QuantizationSimModel folded = folded_before(config, scheme);
      simulated.graph().check();
      CHECK(aimet_names(simulated) == aimet_names(folded));
      calibrate(simulated);
      calibrate(folded);
      // Other kernels ran: a search may find a neighbouring candidate.
      const double tolerance = scheme == QuantScheme::post_training_tf_enhanced ? 0.03 : 1e-5;
      for (const QuantizerHandle& each : simulated.quantizers()) {
        CAPTURE(each.name());
        const QuantizerHandle expected = folded.quantizer(folded_name(each.name()));
        CHECK(each.place() == expected.place());
        if (each.place() == QuantizerPlace::parameter)
          CHECK(description(each) == description(expected));
        else
          CHECK(each.encoding().scale[0] ==
                doctest::Approx(expected.encoding().scale[0]).epsilon(tolerance));
      }
    }
  }

  TEST_CASE("folding after training changes no weight code and no activation code") {
    for (const auto& [config, scheme] : kRuns) {
      CAPTURE(config);
      QuantizationSimModel sim = in_simulation(config, scheme);
      calibrate(sim);
      const Tensor gamma = sim.graph().parameter("bn2.weight").value().clone();
      const Tensor variance = sim.graph().parameter("bn2.running_var").value().clone();
      train(sim, 5);
      CHECK(numbers(gamma) != numbers(sim.graph().parameter("bn2.weight").value()));
      CHECK(numbers(variance) != numbers(sim.graph().parameter("bn2.running_var").value()));

      const auto before = run_all(sim);
      std::map<std::string, std::string> encodings;
      std::map<std::string, std::vector<std::int32_t>> weight_codes;
      {
        Executor executor(sim.graph());
        for (const QuantizerHandle& each : sim.quantizers()) {
          encodings[folded_name(each.name())] = description(each);
          if (each.place() == QuantizerPlace::parameter)
            weight_codes[each.name()] = codes(each, executor);
        }
      }
      REQUIRE(weight_codes.size() == 5);  // of the lonely batch norm, too
      CHECK(fold_simulated_batch_norms(sim.graph()) == 3);
      sim.graph().check();
      for (const Node* node : sim.graph().nodes()) CHECK_FALSE(node->type().starts_with("Folded"));
      CHECK(sim.graph().find_value("bn2.weight") == nullptr);
      CHECK(sim.graph().parameter("conv1.bias").requires_grad());

      const auto after = run_all(sim);
      CHECK(before.size() == after.size());
      for (const auto& [name, values] : before) {
        CAPTURE(name);
        CHECK(after.at(name) == values);
      }
      Executor executor(sim.graph());
      for (const QuantizerHandle& each : sim.quantizers()) {
        CAPTURE(each.name());
        CHECK(encodings.at(each.name()) == description(each));
        if (each.place() == QuantizerPlace::parameter)
          CHECK(codes(each, executor) == weight_codes.at(each.name()));
      }
      CHECK(fold_simulated_batch_norms(sim.graph()) == 0);
    }
  }

  TEST_CASE("a folded sim is the one that folding before would have made") {
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    fold_simulated_batch_norms(sim.graph());
    QuantizationSimModel folded = folded_before("per_channel");
    std::vector<std::string> got, expected;
    for (const Node* node : sim.graph().nodes()) got.push_back(node->name());
    for (const Node* node : folded.graph().nodes()) expected.push_back(node->name());
    std::ranges::sort(got);
    std::ranges::sort(expected);
    CHECK(got == expected);
    for (Parameter* parameter : folded.graph().parameters()) {
      CAPTURE(parameter->name());
      const Parameter& same = sim.graph().parameter(parameter->name());
      CHECK(same.role() == parameter->role());
      if (parameter->role() != Role::encoding)
        CHECK(numbers(same.value()) == numbers(parameter->value()));
    }
    CHECK(folded.graph().parameters().size() == sim.graph().parameters().size());
  }

  TEST_CASE("a quantizer of the bias sees the folded bias") {
    const TemporaryFolder folder;
    const std::string config = folder.write("config.json", R"({
      "defaults": {"ops": {"is_output_quantized": "True"}, "params": {"is_quantized": "True"}},
      "params": {}, "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})");
    QuantizationSimModel sim = in_simulation(config);
    QuantizationSimModel folded = folded_before(config);
    CHECK(aimet_names(sim) == aimet_names(folded));
    calibrate(sim);
    calibrate(folded);
    for (const char* name : {"conv1.bias", "conv2.bias", "fc1.bias"}) {
      CAPTURE(name);
      CHECK(sim.quantizer(name).place() == QuantizerPlace::parameter);
      CHECK(description(sim.quantizer(name)) == description(folded.quantizer(name)));
    }
    train(sim, 2);
    const auto before = run_all(sim);
    fold_simulated_batch_norms(sim.graph());
    CHECK(run_all(sim) == before);
    CHECK(sim.quantizer("conv1.bias").source().parameter() != nullptr);
  }

  TEST_CASE("layers whose weights have no quantizer are folded as well") {
    const TemporaryFolder folder;
    const std::string config = folder.write("config.json", R"({
      "defaults": {"ops": {"is_output_quantized": "True"}, "params": {}}, "params": {},
      "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})");
    QuantizationSimModel sim = in_simulation(config);
    calibrate(sim);
    CHECK(sim.graph().node("conv1").inputs()[1]->name() == "conv1.weight.folded");
    train(sim, 2);
    const auto before = run_all(sim);
    CHECK(fold_simulated_batch_norms(sim.graph()) == 3);
    CHECK(run_all(sim) == before);
  }

  TEST_CASE("frozen statistics stay and training then computes what evaluation does") {
    QuantizationSimModel sim = in_simulation();
    calibrate(sim);
    const Tensor x = random_tensor(kInput, 5);
    const auto statistics = [&] {
      std::vector<float> all;
      for (const Parameter* parameter : sim.graph().parameters(Role::buffer))
        for (const float v : parameter->value().data()) all.push_back(v);
      return all;
    };
    const std::vector<float> before = statistics();
    freeze_bn_stats(sim.graph());
    Executor executor(sim.graph(), {.exact = false});  // training never is
    const Tensor trained = executor.forward(x, Mode::train);
    CHECK(statistics() == before);
    CHECK(numbers(trained) == numbers(executor.forward(x)));
    sim.executor().forward(x, Mode::train);
    sim.executor().backward(Tensor::full({4, 4}, 1.0f));
    CHECK(sim.graph().parameter("bn1.weight").has_grad());
    CHECK_FALSE(sim.graph().parameter("conv1.bias").has_grad());  // beta is trained
    CHECK(sim.graph().parameter("conv2.bias").has_grad());
    update_bn_stats(sim.graph());
    sim.executor().forward(x, Mode::train);
    CHECK(statistics() != before);
  }

  TEST_CASE(
      "a layer is excluded with the batch norm that is folded into it, weights by their key") {
    QuantizationSimModel sim = in_simulation();
    REQUIRE(sim.quantizer("bn2").enabled());
    sim.exclude_layers_from_quantization({"conv2"});
    CHECK_THROWS_AS(sim.quantizer("bn2"), Error);
    CHECK_THROWS_AS(sim.quantizer("conv2.weight"), Error);
    CHECK(sim.quantizer("conv1.weight").enabled());
    sim.exclude_param_from_quantization("weight");
    CHECK_FALSE(sim.quantizer("conv1.weight").enabled());
    calibrate(sim);
    const auto before = run_all(sim);
    CHECK(fold_simulated_batch_norms(sim.graph()) == 3);
    CHECK(run_all(sim) == before);
  }

  TEST_CASE("statistics that are part of a quantized weight cannot be re-estimated") {
    QuantizationSimModel sim = in_simulation();
    calibrate(sim);
    nn::DataLoader loader({.dataset = std::make_shared<nn::InMemoryDataset>(
                               Shape{3, 8, 8}, 4, std::vector<std::uint8_t>(4 * 3 * 8 * 8, 7),
                               std::vector<std::uint8_t>{0, 1, 2, 3}),
                           .workers = 0});
    CHECK_THROWS_WITH_AS(ptq::reestimate_bn_stats(sim.executor(), loader), doctest::Contains("bn1"),
                         Error);
  }

  TEST_CASE("numbers that cannot be folded are an error that names the layer and changes nothing") {
    QuantizationSimModel sim = in_simulation();
    calibrate(sim);
    sim.graph().parameter("bn3.running_var").edit().data()[2] =
        std::numeric_limits<float>::quiet_NaN();
    const std::string before = sim.graph().to_string();
    const std::vector<float> weight = numbers(sim.graph().parameter("conv1.weight").value());
    CHECK_THROWS_WITH_AS(fold_simulated_batch_norms(sim.graph()), doctest::Contains("bn3"), Error);
    CHECK_THROWS_WITH_AS(calibrate(sim), doctest::Contains("fc1.weight"), Error);
    CHECK(sim.graph().to_string() == before);
    CHECK(numbers(sim.graph().parameter("conv1.weight").value()) == weight);

    Graph broken = block_net();  // a file may say anything
    Value& x = broken.value("relu1");
    std::vector<Value*> extra(4, &broken.value("bn1.weight"));
    extra.push_back(&broken.value("bn1.bias"));
    broken.insert_after(x, std::make_unique<FoldedBatchNormalization>(), extra, "wrong");
    CHECK_THROWS_WITH_AS(fold_simulated_batch_norms(broken), doctest::Contains("wrong"), Error);
  }

  TEST_CASE("kept batch norms and a model without any are as they were") {
    QuantizationSimModel kept(block_net());
    CHECK(kept.state().find("batch_norms") == std::string::npos);
    CHECK(kept.graph().node("bn1").as<BatchNormalization>() != nullptr);
    CHECK(fold_simulated_batch_norms(kept.graph()) == 0);
    QuantizationSimModel sim = in_simulation();
    CHECK(sim.graph().node("alone").as<BatchNormalization>() != nullptr);
    CHECK(sim.graph().node("bn1").as<FoldedBatchNormalization>() != nullptr);
    CHECK(sim.graph().node("conv1").inputs()[1]->name() == "conv1.weight.qdq");
    CHECK(sim.quantizer("conv1.weight").source().name() == "conv1.weight.folded");
    QuantizationSimModel none(small_net(), {.batch_norms = BatchNormMode::fold_in_simulation});
    CHECK(none.graph().to_string() == QuantizationSimModel(small_net()).graph().to_string());
  }
}
