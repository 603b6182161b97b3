// Folding to scale in the golden network, after training with batch norms.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_sim.h"
#include "rung/exec/executor.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/codes_of_weights.h"
#include "support/ptq_helpers.h"

using namespace rung;
using namespace rung::test;

namespace {

Tensor batch(const golden::Tensors& data, const std::string& name) {
  return golden::tensor(data.at(name));
}

/// Trains a golden sim with its batch norms for four steps.
void train(QuantizationSimModel& sim, const golden::Tensors& data) {
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.01, .momentum = 0.9});
  for (const char* index : {"0", "1", "2", "3"}) {
    const Tensor logits =
        sim.executor().forward(batch(data, std::string("x") + index), Mode::train);
    sgd.zero_grad();
    sim.executor().backward(
        nn::cross_entropy(logits, data.at(std::string("y") + index).integers).gradient);
    sgd.step();
  }
}

/// Turns two channels of every batch norm negative.
void flip_some(Graph& graph) {
  for (Parameter* parameter : graph.parameters(Role::norm))
    if (parameter->name().ends_with(".weight"))
      for (const std::size_t c : {1, 4}) parameter->edit().data()[c] *= -1;
}

/// A golden run that keeps its batch norms and has weight quantizers per channel.
bool is_candidate(const golden::SimRun& run) {
  return !run.folded && run.config == "default_config_per_channel";
}

/// Makes a sim, calibrates and trains it; optionally with negative factors.
QuantizationSimModel trained_sim(const golden::SimRun& run, const golden::Tensors& data,
                                 void (*change)(Graph&)) {
  QuantizationSimModel sim = golden::make_sim(run);
  change(sim.graph());
  sim.compute_encodings([&](Executor& executor) {
    for (const char* name : {"x0", "x1", "x2"}) executor.forward(batch(data, name));
  });
  train(sim, data);
  return sim;
}

std::map<std::string, Codes> all_codes(QuantizationSimModel& sim) {
  std::map<std::string, Codes> codes;
  for (const Node* node : sim.graph().nodes())
    if (node->type() == "Conv") codes[node->name()] = codes_of(sim, node->name() + ".weight");
  return codes;
}

}  // namespace

TEST_SUITE("ptq: folding batch norms to scale after training") {
  TEST_CASE("after training, weights keep their codes and the network its outputs") {
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (!is_candidate(run)) continue;
      CAPTURE(run.name);
      QuantizationSimModel sim = trained_sim(run, data, [](Graph&) {});
      for (const Parameter* parameter : sim.graph().parameters(Role::norm))
        if (parameter->name().ends_with(".weight"))
          for (const float gamma : parameter->value().data()) REQUIRE(gamma > 0);
      const Tensor x = batch(data, "x4");
      const Tensor before = sim.executor().forward(x);
      const Tensor unquantized = without_activation_quantizers(sim, x);
      const std::map<std::string, Codes> codes = all_codes(sim);

      const ptq::FoldResult result = ptq::fold_all_batch_norms_to_scale(sim);
      sim.graph().check();
      CHECK(result.skipped.empty());
      CHECK(result.folded.size() == 9);
      CHECK(count(sim.graph(), "BatchNormalization") == 0);
      CHECK(all_codes(sim) == codes);
      for (const auto& [layer, norm] : result.folded)
        CHECK(sim.quantizer(layer + ".weight").learned() == run.learns());
      check_equal(unquantized, without_activation_quantizers(sim, x), 1e-5);
      // With them, a value may fall on the other side of a tie.
      const auto d = golden::difference(golden::doubles(before.data()),
                                        golden::doubles(sim.executor().forward(x).data()));
      CHECK(d.mean <= 1e-3);
      CHECK(d.largest <= 1.01 * sim.quantizer("fc").encoding().scale[0]);
    }
  }

  TEST_CASE("where a batch norm turns a channel negative, codes change sign but for the ends") {
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (!is_candidate(run)) continue;
      CAPTURE(run.name);
      QuantizationSimModel sim = trained_sim(run, data, flip_some);
      const std::map<std::string, Codes> codes = all_codes(sim);
      std::map<std::string, std::vector<float>> gammas;
      for (const Parameter* parameter : sim.graph().parameters(Role::norm))
        gammas[parameter->name()] = values(parameter->value());
      const std::int32_t highest = (1 << (run.param_bw - 1)) - 1;
      std::size_t compared = 0, mirrored = 0;
      for (const auto& [layer, norm] : ptq::fold_all_batch_norms_to_scale(sim).folded) {
        const Codes after = codes_of(sim, layer + ".weight"), &expected = codes.at(layer);
        const std::vector<float>& gamma = gammas.at(norm + ".weight");
        REQUIRE(after.size() == expected.size());
        const std::size_t row = after.size() / gamma.size();
        for (std::size_t i = 0; i < after.size(); ++i) {
          const bool negative = gamma[i / row] < 0;
          ++compared;
          mirrored += negative;
          if (!negative)
            CHECK(after[i] == expected[i]);
          else if (expected[i] == highest)  // perhaps clipped
            CHECK((after[i] == -highest || after[i] == -highest - 1));
          else
            CHECK(after[i] == std::min(-expected[i], highest));
        }
      }
      CHECK(compared > 5000);
      CHECK(mirrored > 500);
    }
  }

  TEST_CASE("in a residual network the batch norms' output quantizers move to the layers") {
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    std::size_t moved = 0;
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (!is_candidate(run)) continue;
      CAPTURE(run.name);
      QuantizationSimModel sim = trained_sim(run, data, [](Graph&) {});
      std::map<std::string, Encoding> outputs;
      for (const QuantizerHandle& each : sim.quantizers())
        if (each.source().producer() != nullptr &&
            each.source().producer()->type() == "BatchNormalization")
          outputs.emplace(each.name(), each.encoding());
      for (const auto& [layer, norm] : ptq::fold_all_batch_norms_to_scale(sim).folded) {
        if (!outputs.contains(norm)) continue;
        ++moved;
        const QuantizerHandle quantizer = sim.quantizer(layer);
        CHECK(quantizer.place() == QuantizerPlace::value);
        CHECK(quantizer.encoding().scale == outputs.at(norm).scale);
        CHECK(quantizer.encoding().offset == outputs.at(norm).offset);
        CHECK(quantizer.learned() == run.learns());
        CHECK(sim.graph().find_node(norm + ".qdq") == nullptr);
        CHECK(sim.graph().find_value(norm + ".qdq.min") == nullptr);
      }
    }
    CHECK(moved == 6 * 5);
  }
}
