// Biases as int32 codes: simulated, trained with, exported, and given room.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/onnx_import.h"
#include "rung/ops/layers.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/export_notes.h"
#include "rung/quantsim/quantsim.h"
#include "support/paths.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

const std::vector<std::string> kLayers = {"conv1", "conv2", "conv3", "fc"};

QuantizationSimModel w4a4(bool int32_biases) {
  return calibrated({.default_output_bw = 4,
                     .default_param_bw = 4,
                     .config_file = "per_channel",
                     .int32_biases = int32_biases});
}

/// Gives the parameters the values of their int32 codes.
void round_parameters(QuantizationSimModel& sim) {
  for (const std::string& layer : kLayers) {
    const float x = sim.quantizer(layer == "conv1" ? "conv1.input0"
                                  : layer == "fc"  ? "add"
                                                   : "relu1")
                        .encoding()
                        .scale.at(0);
    const std::vector<float> w = sim.quantizer(layer + ".weight").encoding().scale;
    const auto bias = sim.graph().parameter(layer + ".bias").edit().data();
    for (std::size_t c = 0; c < bias.size(); ++c) {
      const float scale = x * w[w.size() == 1 ? 0 : c];
      bias[c] = static_cast<float>(std::nearbyint(double{bias[c]} / double{scale})) * scale;
    }
  }
}

std::vector<float> gradients(QuantizationSimModel& sim) {
  const Tensor y = sim.executor().forward(random_tensor({4, 2, 6, 6}, 3), Mode::train);
  sim.executor().backward(random_tensor(y.shape(), 4));
  std::vector<float> all = values(y);
  for (Parameter* parameter : sim.graph().parameters()) {
    const auto gradient = parameter->grad().data();
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

/// x -> conv1 -> relu -> conv2, the second filter of conv2 being zeros with the bias 5.
Graph dead_channel() {
  return io::load_onnx(paths::golden_dir() + "/cases/onnxruntime/zero_weight_channel_named.onnx");
}

void calibrate(QuantizationSimModel& sim) {
  sim.compute_encodings([](Executor& executor) {
    executor.forward(random_tensor(executor.graph().inputs()[0]->shape(), 1));
  });
}

}  // namespace

TEST_SUITE("quantsim: int32 biases") {
  TEST_CASE("simulated int32 biases are those of the codes, in evaluation and in training") {
    QuantizationSimModel simulated = w4a4(true), rounded = w4a4(false), floating = w4a4(false);
    round_parameters(rounded);
    CHECK(run_small_net(simulated) == run_small_net(rounded));
    CHECK(run_small_net(simulated) != run_small_net(floating));
    // The gradient is that at the rounded biases, and passes to the float ones.
    CHECK(gradients(simulated) == gradients(rounded));
    CHECK(values(simulated.graph().parameter("fc.bias").value()) ==
          values(floating.graph().parameter("fc.bias").value()));
  }

  TEST_CASE("they follow the ranges, which calibration finds without them") {
    QuantizationSimModel simulated = w4a4(true), rounded = w4a4(false);
    CHECK(fingerprint(simulated) == fingerprint(rounded));
    const std::vector<float> before = run_small_net(simulated);
    for (QuantizationSimModel* sim : {&simulated, &rounded}) {
      sim->quantizer("relu1").set_range({0.0f, 3.0f});
      sim->quantizer("fc.weight").set_bitwidth(5);
    }
    CHECK(run_small_net(simulated) != before);
    round_parameters(rounded);
    CHECK(run_small_net(simulated) == run_small_net(rounded));
    // Without a quantizer before it or of its weight an op has no such bias.
    QuantizationSimModel none = w4a4(true), plain = w4a4(false);
    for (QuantizationSimModel* sim : {&none, &plain})
      for (QuantizerHandle each : sim->quantizers())
        if (each.place() == QuantizerPlace::parameter) each.disable();
    CHECK(run_small_net(none) == run_small_net(plain));
  }

  TEST_CASE("copies, checkpoints and states keep them") {
    QuantizationSimModel sim = w4a4(true);
    const std::vector<float> expected = run_small_net(sim);
    Graph copy = sim.graph().clone();
    CHECK(values(Executor(copy).forward(random_tensor({4, 2, 6, 6}, 3))) == expected);
    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("m.rung"));
    QuantizationSimModel again = load_checkpoint(folder.path("m.rung"));
    CHECK(again.options().int32_biases);
    CHECK(run_small_net(again) == expected);
    Graph file = io::load_model(folder.path("m.rung")).graph;
    CHECK(values(Executor(file).forward(random_tensor({4, 2, 6, 6}, 3))) == expected);
  }

  TEST_CASE("the exported file is the network that was simulated") {
    const TemporaryFolder folder;
    for (const bool simulated : {true, false}) {
      QuantizationSimModel sim = w4a4(simulated);
      sim.export_to(folder.path(), "net", {.export_qdq_onnx = true});
      Graph file = io::load_onnx(folder.path("net_qdq.onnx"));
      const auto y = values(Executor(file).forward(random_tensor({4, 2, 6, 6}, 3)));
      CHECK((y == run_small_net(sim)) == simulated);
    }
    QuantizationSimModel sim = w4a4(false);
    sim.export_to(folder.path(), "float", {.export_qdq_onnx = true, .export_int32_bias = false});
    Graph file = io::load_onnx(folder.path("float_qdq.onnx"));
    CHECK(values(Executor(file).forward(random_tensor({4, 2, 6, 6}, 3))) == run_small_net(sim));
  }

  TEST_CASE("export tells how far the outputs move without them") {
    const Tensor x = random_tensor({4, 2, 6, 6}, 3);
    QuantizationSimModel with = w4a4(true), without = w4a4(false), wide = calibrated({});
    CHECK(std::isinf(int32_bias_sqnr(with, {&x, 1})));
    const double moved = int32_bias_sqnr(without, {&x, 1});
    CHECK(moved > 0);
    CHECK(moved < 50);
    CHECK(int32_bias_sqnr(wide, {&x, 1}) > moved);
    CHECK(export_notes(without).empty());  // no file with integers
    CHECK(export_notes(with, {.export_qdq_onnx = true}).empty());
    const std::vector<std::string> notes = export_notes(without, {.export_qdq_onnx = true});
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find(" dB") != std::string::npos);
    CHECK(export_notes(without, {.export_qdq_onnx = true, .export_int32_bias = false}).empty());
  }

  TEST_CASE("a filter of zeros gets a scale at which int32 holds its bias") {
    QuantizationSimModel sim(dead_channel(), {.config_file = "per_channel"});
    calibrate(sim);
    REQUIRE(sim.calibration_notes().size() == 1);
    CHECK(sim.calibration_notes()[0].find("1 of 4 channels, 1 the first of them") !=
          std::string::npos);
    CHECK(sim.calibration_notes()[0].find("b2.bias") != std::string::npos);
    const float x = sim.quantizer("r").encoding().scale.at(0);
    const std::vector<float> w = sim.quantizer("w2.weight").encoding().scale;
    CHECK(5.0f / (x * w[1]) == doctest::Approx(1 << 30));
    // The other channels have what their weights want.
    QuantizationSimModel alive = [] {
      Graph graph = dead_channel();
      graph.parameter("b2.bias").edit().data()[1] = 0.0f;
      return QuantizationSimModel(graph, {.config_file = "per_channel"});
    }();
    calibrate(alive);
    CHECK(alive.calibration_notes().empty());
    const std::vector<float> usual = alive.quantizer("w2.weight").encoding().scale;
    for (const std::size_t c : {0u, 2u, 3u}) CHECK(w[c] == usual[c]);
    // The file says what the simulation does.
    const TemporaryFolder folder;
    sim.export_to(folder.path(), "net", {.export_qdq_onnx = true});
    Graph file = io::load_onnx(folder.path("net_qdq.onnx"));
    const Tensor images = random_tensor({1, 3, 8, 8}, 5);
    const auto y = values(Executor(file).forward(images));
    CHECK(y == values(sim.executor().forward(images)));
    CHECK(y[y.size() / 4] == doctest::Approx(5.0f).epsilon(0.01));  // of channel 1
  }

  TEST_CASE("an input that is always 0 leaves room for biases, frozen ranges stay") {
    for (const char* config : {"default", "per_channel"}) {
      CAPTURE(config);
      Graph graph = dead_channel();
      for (float& v : graph.parameter("w1.weight").edit().data()) v = 0.0f;
      for (float& v : graph.parameter("b1.bias").edit().data()) v = -1.0f;  // Relu gives zeros
      QuantizationSimModel sim(graph, {.config_file = config});
      calibrate(sim);
      CHECK(!sim.calibration_notes().empty());
      const float x = sim.quantizer("r").encoding().scale.at(0);
      const std::vector<float> w = sim.quantizer("w2.weight").encoding().scale;
      CHECK(5.0f / (x * w[w.size() == 1 ? 0 : 1]) <= (1 << 30) * 1.001f);
    }
    QuantizationSimModel sim(dead_channel(), {.config_file = "per_channel"});
    sim.compute_param_encodings();
    sim.quantizer("w2.weight").freeze();
    const std::vector<float> before = sim.quantizer("w2.weight").encoding().scale;
    calibrate(sim);
    CHECK(sim.quantizer("w2.weight").encoding().scale == before);
    CHECK(sim.calibration_notes().empty());
  }
}
