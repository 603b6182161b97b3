#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/analysis/analyze.h"
#include "rung/core/parallel.h"
#include "rung/models.h"
#include "rung/nn/data.h"
#include "rung/nn/loss.h"
#include "rung/nn/metrics.h"
#include "rung/ops/layers.h"
#include "rung/ops/shape_ops.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/analysis_helpers.h"
#include "support/folding_net.h"
#include "support/message_of.h"
#include "support/random_graph.h"
#include "support/training_helpers.h"

using namespace rung;
using test::batches;
using test::check_close;
using test::kInfinity;
using test::sqnr_db;

namespace {

/// The outputs of the sim for all batches, one after the other, with only these quantizers.
std::vector<float> outputs_with(QuantizationSimModel& sim, const std::vector<Tensor>& data,
                                const std::set<std::string>& enabled) {
  std::vector<QuantizerHandle> changed;
  for (QuantizerHandle each : sim.quantizers())
    if (each.enabled() && !enabled.contains(each.name())) changed.push_back(each);
  for (QuantizerHandle& each : changed) each.disable();
  std::vector<float> all;
  for (const Tensor& x : data) {
    for (const Tensor& y : sim.executor().forward({&x, 1}))
      all.insert(all.end(), y.data().begin(), y.data().end());
  }
  for (QuantizerHandle& each : changed) each.enable();
  return all;
}

/// Compares every sensitivity with whole passes through the whole network.
void check_sensitivities(QuantizationSimModel& sim, const std::vector<Tensor>& data) {
  const analysis::Analysis got =
      analysis::analyze(sim, data, {}, {.per_quantizer = true, .measure_time = false});
  std::set<std::string> all;
  for (const QuantizerHandle& each : sim.quantizers())
    if (each.enabled()) all.insert(each.name());
  const std::vector<float> in_float = outputs_with(sim, data, {});
  check_close(got.outputs.sqnr_db, sqnr_db(in_float, outputs_with(sim, data, all)));
  CHECK(got.quantizers_sensitivity.size() == all.size());
  CHECK(!got.layers_sensitivity.empty());
  for (const auto* list : {&got.layers_sensitivity, &got.quantizers_sensitivity})
    for (const analysis::Sensitivity& each : *list) {
      CAPTURE(each.name);
      const std::set<std::string> own(each.quantizers.begin(), each.quantizers.end());
      std::set<std::string> others = all;
      for (const std::string& name : own) others.erase(name);
      check_close(each.alone, sqnr_db(in_float, outputs_with(sim, data, own)));
      check_close(each.all_but, sqnr_db(in_float, outputs_with(sim, data, others)));
    }
}

analysis::Analysis without_time(analysis::Analysis analysis) {
  analysis.cost.seconds = 0;
  return analysis;
}

}  // namespace

TEST_SUITE("analysis") {
  TEST_CASE("with everything disabled outputs are the float network's to the bit") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 4, .default_param_bw = 4});
    std::vector<std::string> all = names_of(sim);
    const Graph original = sim.get_original_model();
    bool is_first = true;
    const auto evaluate = [&](Executor& executor) {
      Graph copy = original.clone();
      Executor in_float(copy);
      bool same = true;
      for (const Tensor& x : batches())
        same = same && equal(in_float.forward(x), executor.forward(x));
      CHECK(same == is_first);
      is_first = false;
      return same ? 1.0 : 0.0;
    };
    const analysis::Analysis got =
        analysis::analyze(sim, batches(), evaluate, {.groups = {{"all", all}, {"none", {}}}});
    REQUIRE(got.groups_sensitivity.size() == 2);
    const analysis::Sensitivity &everything = got.groups_sensitivity[0],
                                &nothing = got.groups_sensitivity[1];
    CHECK(everything.all_but == kInfinity);  // computed again, from the network's input
    CHECK(everything.all_but_error.mse == 0.0);
    CHECK(nothing.alone == kInfinity);
    CHECK(everything.alone == got.outputs.sqnr_db);
    CHECK(nothing.all_but == got.outputs.sqnr_db);
    CHECK(got.levels == analysis::Levels{"score", 1.0, 0.0, 0.0, 0.0});
    CHECK(got.cost.score_calls == 4);
    for (QuantizerHandle each : sim.quantizers()) each.disable();
    const analysis::Analysis disabled = analysis::analyze(sim, batches());
    CHECK(disabled.levels == analysis::Levels{"sqnr", kInfinity, kInfinity, kInfinity, kInfinity});
    CHECK(disabled.layers_sensitivity.empty());
    for (const analysis::Layer& layer : disabled.layers) CHECK(layer.accumulated.mse == 0.0);
  }

  TEST_CASE("sensitivities equal those of whole passes") {
    for (const char* config : {"per_channel", "per_tensor"}) {
      CAPTURE(config);
      QuantizationSimModel sim =
          calibrated({.default_output_bw = 4, .default_param_bw = 4, .config_file = config});
      check_sensitivities(sim, batches());
    }
    QuantizationSimModel block(
        foldingtest::block_net(),
        foldingtest::options("default", QuantScheme::post_training_tf, BatchNormMode::keep));
    foldingtest::calibrate(block);
    check_sensitivities(block, {random_tensor({2, 3, 8, 8}, 5)});
    QuantizationSimModel folding = foldingtest::in_simulation();
    foldingtest::calibrate(folding);
    check_sensitivities(folding, {random_tensor({2, 3, 8, 8}, 5)});
    const analysis::Analysis folded = analysis::analyze(
        folding, std::vector<Tensor>{random_tensor({2, 3, 8, 8}, 5)}, {}, {.measure_time = false});
    CHECK(folded.layer("conv2").inputs == std::vector<std::string>{"relu1"});
  }

  TEST_CASE("so they do behind ops that only move numbers") {
    for (const char* config : {"default", "aimet_2_42"}) {
      CAPTURE(config);
      Graph graph;
      Var x = graph.input("x", {1, 2, 8, 8});
      x = nn::relu(nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1}, "conv1"), "relu1");
      x = nn::max_pool2d(x, {.kernel = 2}, "pool");
      x = nn::relu(nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1}, "conv2"), "relu2");
      graph.set_outputs({nn::linear(nn::flatten(x, "flat"), {.out_features = 5}, "fc")});
      QuantizationSimModel sim(graph, {.default_output_bw = 8, .config_file = config});
      sim.compute_encodings([](Executor& executor) {
        executor.forward(random_tensor({4, 2, 8, 8}, 1));
      });
      check_sensitivities(sim, {random_tensor({4, 2, 8, 8}, 2)});
    }
  }

  TEST_CASE("so they do in networks with forks and several outputs") {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      CAPTURE(seed);
      QuantizationSimModel sim(random_graph(seed), {.default_output_bw = 5, .default_param_bw = 4});
      sim.compute_encodings([&](Executor& executor) {
        const Tensor x = random_tensor({2, 4, 6, 6}, seed);
        (void)executor.forward({&x, 1});
      });
      check_sensitivities(sim, {random_tensor({2, 4, 6, 6}, 99)});
    }
  }

  TEST_CASE("levels without a callback are the outputs' SQNR") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 5, .default_param_bw = 4});
    const analysis::Analysis got = analysis::analyze(sim, batches());
    std::set<std::string> weights, activations, all;
    for (const QuantizerHandle& each : sim.quantizers()) {
      all.insert(each.name());
      (each.place() == QuantizerPlace::parameter ? weights : activations).insert(each.name());
    }
    const std::vector<float> in_float = outputs_with(sim, batches(), {});
    CHECK(got.layer("conv1").inputs == std::vector<std::string>{"x"});
    CHECK(got.layer("add").inputs == std::vector<std::string>{"conv2", "conv3"});
    for (const char* layer : {"conv1", "conv2", "fc"}) CHECK(got.layer(layer).seconds > 0);
    CHECK(got.levels.metric == "sqnr");
    CHECK(got.levels.nothing == kInfinity);
    check_close(got.levels.weights, sqnr_db(in_float, outputs_with(sim, batches(), weights)));
    check_close(got.levels.activations,
                sqnr_db(in_float, outputs_with(sim, batches(), activations)));
    check_close(got.levels.everything, sqnr_db(in_float, outputs_with(sim, batches(), all)));
  }

  TEST_CASE("a layer's own error is what it alone does with float inputs") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 4, .default_param_bw = 4});
    const analysis::Analysis got = analysis::analyze(sim, batches());
    Graph graph = sim.graph().clone();
    Executor executor(graph);
    executor.watch({"conv2"});
    std::vector<float> expected, weights, both;
    const QuantizerHandle of_output = sim.quantizer("conv2");
    for (const Tensor& x : batches())
      for (const bool quantized : {false, true}) {
        for (QuantizerHandle each : find_quantizers(graph))
          if (each.name() == "conv2.weight" && quantized)
            each.enable();
          else
            each.disable();
        (void)executor.forward(x);
        const Tensor y = executor.value("conv2");
        std::vector<float>& into = quantized ? weights : expected;
        into.insert(into.end(), y.data().begin(), y.data().end());
        if (!quantized) continue;
        const Tensor q = of_output.quantize_dequantize(y);
        both.insert(both.end(), q.data().begin(), q.data().end());
      }
    const analysis::Layer& layer = got.layer("conv2");
    REQUIRE((layer.alone && layer.alone_weights && layer.alone_output));
    check_close(layer.alone_weights->sqnr_db, sqnr_db(expected, weights));
    check_close(layer.alone->sqnr_db, sqnr_db(expected, both));
    CHECK(layer.alone_output->sqnr_db == got.quantizer("conv2").error.sqnr_db);
    CHECK(!got.layer("flatten").accumulated.mse == false);
  }

  TEST_CASE("what another bitwidth gives is estimated well") {
    QuantizationSimModel sim = calibrated({.quant_scheme = QuantScheme::post_training_tf,
                                           .default_output_bw = 8,
                                           .default_param_bw = 8});
    const std::vector<Tensor> data = {random_tensor({64, 2, 6, 6}, 5)};
    const analysis::Analysis before = analysis::analyze(sim, data);
    for (const analysis::Layer& layer : before.layers) {
      if (layer.quantizers.empty()) continue;
      CAPTURE(layer.name);
      REQUIRE(layer.at_bitwidths.size() == 3);
      const analysis::AtBitwidth &four = layer.at_bitwidths[0], &eight = layer.at_bitwidths[1],
                                 &sixteen = layer.at_bitwidths[2];
      const auto own =
          std::ranges::find(before.layers_sensitivity, layer.name, &analysis::Sensitivity::name);
      REQUIRE(own != before.layers_sensitivity.end());
      CHECK(eight.alone_sqnr_db == doctest::Approx(own->alone));
      CHECK(eight.network_sqnr_db <= doctest::Approx(before.outputs.sqnr_db));
      CHECK(eight.saved_bytes == 0);
      CHECK(four.saved_bytes == eight.weight_bytes - four.weight_bytes);
      CHECK(sixteen.network_sqnr_db >= eight.network_sqnr_db);
      for (const std::string& name : layer.quantizers) sim.quantizer(name).set_bitwidth(4);
      const analysis::Analysis after = analysis::analyze(sim, data);
      for (const std::string& name : layer.quantizers) sim.quantizer(name).set_bitwidth(8);
      const auto then =
          std::ranges::find(after.layers_sensitivity, layer.name, &analysis::Sensitivity::name);
      CHECK(std::abs(four.alone_sqnr_db - then->alone) < 4);  // of a loss of 2 to 16
      CHECK(std::abs(four.network_sqnr_db - after.outputs.sqnr_db) < 4);
    }
  }

  TEST_CASE("the whole of resnet20 costs at most its layers and four passes") {
    Graph model = models::resnet20({}, Rng(1));
    ptq::fold_all_batch_norms(model);
    QuantizationSimModel sim(model);
    const Tensor x = random_tensor({2, 3, 32, 32}, 1);
    sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
    const analysis::Analysis got =
        analysis::analyze(sim, std::vector<Tensor>{x}, {}, {.measure_time = false});
    const auto layers = static_cast<double>(got.layers_sensitivity.size());
    std::printf("analysis of resnet20: %.0f layers with quantizers, %.2f passes (%.0f unshared)\n",
                layers, got.cost.passes, got.cost.passes_without_sharing);
    CHECK(got.cost.network_macs == 40813184);
    CHECK(got.cost.passes <= layers + 4);
    CHECK(got.cost.passes_without_sharing == 2 * layers + 4);
  }

  TEST_CASE("neither memory nor threads change a number, and the sim is left alone") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 4, .default_param_bw = 4});
    const std::string before = fingerprint(sim);
    const analysis::Options kept{.per_quantizer = true, .measure_time = false};
    analysis::Options fresh = kept;
    fresh.memory = 1;
    const analysis::Analysis got = without_time(analysis::analyze(sim, batches(), {}, kept));
    CHECK(got == without_time(analysis::analyze(sim, batches(), {}, fresh)));
    set_thread_count(1);
    CHECK(got == without_time(analysis::analyze(sim, batches(), {}, kept)));
    set_thread_count(0);
    CHECK(fingerprint(sim) == before);
  }

  TEST_CASE("metrics by name, with labels of a loader") {
    Graph graph;
    const Var x = graph.input("x", {1, 1, 4, 4});
    const Var conv =
        nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 3, .padding = 1}, "conv"), "relu");
    const Var scores = nn::linear(nn::flatten(conv, "flat"), {.out_features = 4}, "fc");
    graph.set_outputs({scores, conv});
    for (Parameter* parameter : graph.parameters())
      parameter->edit().copy_from(random_tensor(parameter->shape(), 7));
    QuantizationSimModel sim(graph, {.default_output_bw = 3, .default_param_bw = 3});
    nn::DataLoader loader({.dataset = test::columns(22, {1, 4, 4}), .batch_size = 8, .workers = 0});
    sim.compute_encodings([&](Executor& executor) {
      for (const nn::Batch& batch : loader) (void)executor.forward({&batch.images, 1});
    });
    double right = 0, right_in_float = 0, agreeing = 0, divergence = 0;
    Graph original = sim.get_original_model();
    Executor in_float(original);
    nn::MulticlassConfusionMatrix answers(4);
    for (const nn::Batch& batch : loader) {
      const Tensor a = in_float.forward({&batch.images, 1})[0];
      const Tensor b = sim.executor().forward({&batch.images, 1})[0];
      for (std::int64_t n = 0; n < batch.size(); ++n) {
        double p[4], q[4], sums[2] = {0, 0};
        std::int64_t best[2] = {0, 0};
        for (std::int64_t c = 0; c < 4; ++c) {
          sums[0] += p[c] = std::exp(double{a.at(n, c)});
          sums[1] += q[c] = std::exp(double{b.at(n, c)});
          if (p[c] > p[best[0]]) best[0] = c;
          if (q[c] > q[best[1]]) best[1] = c;
        }
        for (int c = 0; c < 4; ++c)
          divergence += p[c] / sums[0] * std::log(p[c] / sums[0] / (q[c] / sums[1]));
        agreeing += best[0] == best[1] ? 1 : 0;
      }
      answers.update(b, batch.labels);
      right += static_cast<double>(nn::count_correct(b, batch.labels));
      right_in_float += static_cast<double>(nn::count_correct(a, batch.labels));
    }
    const auto everything = [&](const char* metric) {
      std::vector<std::string> all;
      for (const QuantizerHandle& each : sim.quantizers()) all.push_back(each.name());
      return analysis::analyze(sim, loader, {}, {.metric = metric, .groups = {{"all", all}}})
          .groups_sensitivity[0]
          .alone;
    };
    const analysis::Analysis by_top1 = analysis::analyze(sim, loader, {}, {.level_metric = "top1"});
    const analysis::Levels& levels = by_top1.levels;
    CHECK(levels.metric == "top1");
    CHECK(levels.everything == doctest::Approx(right / 22));
    CHECK(levels.nothing == doctest::Approx(right_in_float / 22));
    REQUIRE(by_top1.confusion);
    CHECK(by_top1.confusion->counts == answers.compute());
    CHECK(everything("top1") == doctest::Approx(right / 22));
    CHECK(everything("agreement") == doctest::Approx(agreeing / 22));
    CHECK(everything("kl") == doctest::Approx(divergence / 22));
    CHECK(everything("cosine") > 0.5);
    CHECK(everything("cosine") < 1.0);
  }

  TEST_CASE("what cannot be analyzed is refused") {
    QuantizationSimModel sim = calibrated({});
    const auto message = [&](const std::vector<Tensor>& data, const analysis::Options& options) {
      return message_of([&] { (void)analysis::analyze(sim, data, {}, options); });
    };
    CHECK(message(batches(), {.metric = "snr"}).find("one of sqnr, mse, ") != std::string::npos);
    CHECK(message(batches(), {.level_metric = "snr"}).find("got snr") != std::string::npos);
    CHECK(message(batches(), {.metric = "top1"}).find("needs a label") != std::string::npos);
    CHECK(message(batches(), {.groups = {{"mine", {"conv9"}}}}).find("group mine names conv9") !=
          std::string::npos);
    CHECK(message({}, {}).find("no batch") != std::string::npos);
    Tensor bad = batches()[0].clone();
    bad.data()[5] = std::numeric_limits<float>::quiet_NaN();
    CHECK(message({bad}, {}).find("1 of 288 elements are NaN") != std::string::npos);
    const QuantizationSimModel fresh(small_net());
    CHECK(message_of([&] { (void)analysis::analyze(fresh, batches()); }).find("has no range yet") !=
          std::string::npos);
  }
}
