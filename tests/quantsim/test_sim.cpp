#include <algorithm>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "rung/io/safetensors.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

const Shape kInput{4, 2, 6, 6};

void calibrate(QuantizationSimModel& sim) { calibrate_small_net(sim); }
std::vector<float> run(QuantizationSimModel& sim) { return run_small_net(sim); }

}  // namespace

TEST_SUITE("quantsim: calibration") {
  TEST_CASE("compute_encodings gives every quantizer a range and the output a few levels") {
    Graph graph = small_net();
    const Tensor before = graph.parameter("conv1.weight").value().clone();
    QuantizationSimModel sim(graph, {.quant_scheme = QuantScheme::post_training_tf,
                                     .default_output_bw = 3,
                                     .default_param_bw = 4});
    CHECK_THROWS_AS(run(sim), Error);  // no range yet
    calibrate(sim);
    for (const QuantizerHandle& each : sim.quantizers()) {
      CAPTURE(each.name());
      CHECK(each.initialized());
      CHECK_FALSE(each.learned());
      CHECK(each.encoding().bitwidth == (each.place() == QuantizerPlace::parameter ? 4 : 3));
    }
    std::vector<float> levels = run(sim);
    std::ranges::sort(levels);
    const auto end = std::unique(levels.begin(), levels.end());
    CHECK(end - levels.begin() <= 8);
    CHECK(values(before) == values(graph.parameter("conv1.weight").value()));
  }

  TEST_CASE("activations are observed unquantized, behind quantized weights") {
    Graph graph = small_net();
    QuantizationSimModel sim(graph, {.quant_scheme = QuantScheme::post_training_tf,
                                     .default_output_bw = 2,
                                     .default_param_bw = 3});
    const Tensor x = random_tensor(kInput, 1);
    sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
    // The same by hand: a float copy whose weights are quantize-dequantized.
    Graph copy = graph.clone();
    for (const char* name : {"conv1.weight", "conv2.weight", "conv3.weight", "fc.weight"}) {
      Parameter& weight = copy.parameter(name);
      weight.edit().copy_from(quantize_dequantize(weight.value(), sim.quantizer(name).encoding()));
    }
    const Tensor logits = Executor(copy).forward(x);
    const auto [low, high] = std::ranges::minmax(logits.data());
    const Range range = sim.quantizer("fc").ranges().at(0);
    CHECK(range.min == doctest::Approx(std::min(low, 0.0f)).epsilon(1e-5));
    CHECK(range.max == doctest::Approx(std::max(high, 0.0f)).epsilon(1e-5));
  }

  TEST_CASE("range learning lets min and max be trained, after calibration") {
    QuantizationSimModel sim(small_net(),
                             {.quant_scheme = QuantScheme::training_range_learning_with_tf_init});
    for (const QuantizerHandle& each : sim.quantizers()) CHECK_FALSE(each.learned());
    calibrate(sim);
    for (const QuantizerHandle& each : sim.quantizers()) CHECK(each.learned());
    QuantizerHandle relu = sim.quantizer("relu1");
    relu.freeze();
    CHECK_FALSE(relu.learned());
    sim.executor().forward(random_tensor(kInput, 1), Mode::train);
    sim.executor().backward(Tensor::full({4, 4}, 1.0f));
    CHECK(sim.graph().parameter("conv2.qdq.max").has_grad());
    CHECK_FALSE(sim.graph().parameter("relu1.qdq.max").has_grad());
  }

  TEST_CASE("quantizers that saw no data are named, and nothing has changed") {
    QuantizationSimModel sim(small_net());
    calibrate(sim);
    const std::string before = fingerprint(sim);
    CHECK_THROWS_WITH_AS(sim.compute_encodings([](Executor&) {}), doctest::Contains("relu1"),
                         Error);
    CHECK(fingerprint(sim) == before);
    sim.compute_encodings([](Executor&) {}, {.allow_unobserved = true});
    CHECK(fingerprint(sim) == before);
    CHECK_NOTHROW(run(sim));
  }

  TEST_CASE("NaN and infinite elements are errors that name the tensor, and nothing has changed") {
    QuantizationSimModel sim(small_net());
    calibrate(sim);
    const std::string before = fingerprint(sim);
    const std::vector<float> output = run(sim);
    Tensor bad = random_tensor(kInput, 4);
    bad.data()[7] = std::numeric_limits<float>::quiet_NaN();
    bad.data()[9] = std::numeric_limits<float>::infinity();
    const auto callback = [&](Executor& executor) { executor.forward(bad); };
    CHECK_THROWS_WITH_AS(sim.compute_encodings(callback), doctest::Contains("conv1.input0"), Error);
    CHECK_THROWS_WITH_AS(sim.compute_encodings(callback), doctest::Contains("2"), Error);
    CHECK(fingerprint(sim) == before);
    CHECK(run(sim) == output);

    sim.graph().parameter("conv3.weight").edit().data()[0] =
        -std::numeric_limits<float>::infinity();
    CHECK_THROWS_WITH_AS(calibrate(sim), doctest::Contains("conv3.weight"), Error);
    CHECK(fingerprint(sim) == before);
  }

  TEST_CASE("an error in the callback leaves everything as it was") {
    QuantizationSimModel sim(small_net());
    calibrate(sim);
    const std::string before = fingerprint(sim);
    CHECK_THROWS_AS(sim.compute_encodings([](Executor& executor) {
      executor.forward(random_tensor(kInput, 9));
      throw std::runtime_error("disk on fire");
    }),
                    std::runtime_error);
    CHECK(fingerprint(sim) == before);
  }

  TEST_CASE("a second calibration starts from nothing, frozen ranges stay") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    sim.compute_encodings([](Executor& executor) {
      Tensor x = random_tensor(kInput, 1);
      for (float& v : x.data()) v *= 100;
      executor.forward(x);
    });
    const Range wide = sim.quantizer("relu1").ranges().at(0);
    sim.quantizer("add").freeze();
    const Range frozen = sim.quantizer("add").ranges().at(0);
    calibrate(sim);
    CHECK(sim.quantizer("relu1").ranges().at(0).max < wide.max / 10);
    CHECK(sim.quantizer("add").ranges().at(0) == frozen);
  }

  TEST_CASE("the percentile scheme cuts outliers off, only that scheme has a percentile") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_percentile});
    calibrate(sim);
    const Range all = sim.quantizer("conv1.input0").ranges().at(0);
    sim.set_percentile_value(90.0);
    calibrate(sim);
    CHECK(sim.quantizer("conv1.input0").ranges().at(0).max < all.max);
    CHECK_THROWS_AS(sim.set_percentile_value(30.0), Error);
    QuantizationSimModel other(small_net());
    CHECK_THROWS_AS(other.set_percentile_value(99.0), Error);
  }
}

TEST_SUITE("quantsim: one quantizer") {
  TEST_CASE("bitwidth, symmetry, range, enable and disable take effect at the next forward") {
    QuantizationSimModel sim(small_net(), {.default_output_bw = 4, .default_param_bw = 4});
    calibrate(sim);
    const std::vector<float> base = run(sim);
    QuantizerHandle weight = sim.quantizer("conv1.weight");
    weight.set_bitwidth(8);
    CHECK(weight.encoding().bitwidth == 8);
    const std::vector<float> wider = run(sim);
    CHECK(wider != base);
    QuantizerHandle relu = sim.quantizer("relu1");
    relu.set_range({0.0f, 0.25f});
    CHECK(relu.encoding().effective_range().max == doctest::Approx(0.25));
    const std::vector<float> clipped = run(sim);
    CHECK(clipped != wider);
    relu.set_symmetric(true);
    CHECK(relu.encoding().grid == Grid{-8, 7});
    CHECK(relu.encoding().effective_range().max >= 0.2499f);
    CHECK(run(sim) != clipped);
    relu.set_symmetric(false);
    {
      const auto off = relu.disabled_scope();
      CHECK_FALSE(relu.enabled());
      CHECK(run(sim) != clipped);
    }
    CHECK(relu.enabled());
    for (QuantizerHandle each : sim.quantizers()) each.disable();
    const std::vector<float> unquantized = run(sim);
    Graph graph = small_net();
    const std::vector<float> plain = values(Executor(graph).forward(random_tensor(kInput, 3)));
    REQUIRE(plain.size() == unquantized.size());
    for (std::size_t i = 0; i < plain.size(); ++i)
      CHECK(unquantized[i] == doctest::Approx(plain[i]).epsilon(1e-5));
  }

  TEST_CASE("a frozen quantizer refuses changes, a wrong change leaves it as it was") {
    QuantizationSimModel sim(small_net());
    QuantizerHandle relu = sim.quantizer("relu1.qdq");
    CHECK_THROWS_AS(relu.freeze(), Error);  // it has no range
    CHECK_THROWS_AS(relu.encoding(), Error);
    calibrate(sim);
    const std::string before = fingerprint(sim);
    CHECK_THROWS_AS(relu.set_bitwidth(1), Error);
    CHECK_THROWS_AS(relu.set_range({1.0f, -1.0f}), Error);
    CHECK_THROWS_AS(relu.set_range({0.0f, std::numeric_limits<float>::quiet_NaN()}), Error);
    CHECK(fingerprint(sim) == before);
    relu.freeze();
    CHECK_THROWS_WITH_AS(relu.set_bitwidth(4), doctest::Contains("relu1"), Error);
    CHECK_THROWS_AS(relu.set_range({0.0f, 1.0f}), Error);
    relu.unfreeze();
    CHECK(fingerprint(sim) == before);
    relu.set_range({0.0f, 1.0f});
    CHECK(relu.ranges().at(0).max == 1.0f);
  }

  TEST_CASE("a quantizer and a sim print what they are") {
    QuantizationSimModel sim(small_net(), {.config_file = "per_channel"});
    std::ostringstream before, after, table;
    before << sim.quantizer("conv1.weight");
    CHECK(before.str().find("no range yet") != std::string::npos);
    calibrate(sim);
    after << sim.quantizer("conv1.weight");
    for (const char* word : {"conv1.weight", "int8 symmetric", "per-channel(axis 0, 3)", "sqnr"})
      CHECK_MESSAGE(after.str().find(word) != std::string::npos, after.str());
    table << sim;
    const std::string text = table.str();
    CHECK(std::ranges::count(text, '\n') == 2 + 10);
    for (const char* word :
         {"post_training_sqnr", "configuration per_channel, rules rung", "per channel (3)"})
      CHECK_MESSAGE(text.find(word) != std::string::npos, text);
  }
}

TEST_SUITE("quantsim: files") {
  TEST_CASE("a sim restored from its graph and state computes the same") {
    QuantizationSimModel sim(
        small_net(), {.quant_scheme = QuantScheme::training_range_learning_with_tf_enhanced_init,
                      .default_param_bw = 4,
                      .config_file = "per_channel",
                      .edge_bw = 6});
    calibrate(sim);
    sim.quantizer("add").freeze();
    sim.quantizer("conv2").set_bitwidth(5);
    QuantizationSimModel back = QuantizationSimModel::from_state(sim.graph().clone(), sim.state());
    CHECK(fingerprint(back) == fingerprint(sim));
    CHECK(back.state() == sim.state());
    CHECK(back.options().edge_bw == 6);
    CHECK(run(back) == run(sim));
    CHECK_THROWS_AS(QuantizationSimModel::from_state(small_net(), sim.state()), Error);
    CHECK_THROWS_AS(QuantizationSimModel::from_state(sim.graph().clone(), "{}"), Error);
  }

  TEST_CASE("export writes master weights and an entry for every quantizer, in both versions") {
    Graph graph = small_net();
    QuantizationSimModel sim(graph, {.config_file = "per_channel"});
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(sim.export_to(folder.path("out"), "net"), doctest::Contains("no encoding"),
                         Error);
    CHECK_FALSE(std::filesystem::exists(folder.path("out")));
    calibrate(sim);
    for (const char* version : {"1.0.0", "0.6.1"}) {
      CAPTURE(version);
      const std::string out = folder.path(std::string("out/") + version);
      const auto files = sim.export_to(out, "net", {.encodings_version = version});
      REQUIRE(files == std::vector<std::string>{out + "/net.safetensors", out + "/net.encodings",
                                                out + "/net_torch.encodings", out + "/net.onnx"});
      const io::SafetensorsFile weights(files[0]);
      CHECK(weights.tensors().size() == graph.parameters().size());
      CHECK(values(weights.tensor("conv1.weight")) ==
            values(graph.parameter("conv1.weight").value()));

      std::ifstream in(files[1]), in_torch(files[2]);
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      const std::string torch{std::istreambuf_iterator<char>(in_torch), {}};
      const io::EncodingsFile encodings = io::parse_encodings(text, files[1]);
      CHECK(encodings.activations.size() + encodings.parameters.size() == 10);
      for (const auto* list : {&encodings.activations, &encodings.parameters})
        for (const io::TensorEncoding& entry : *list)
          CHECK_MESSAGE(graph.find_value(entry.name) != nullptr, entry.name);
      const auto conv1 =
          std::ranges::find(encodings.parameters, "conv1.weight", &io::TensorEncoding::name);
      REQUIRE(conv1 != encodings.parameters.end());
      CHECK(conv1->scale.size() == 3);
      CHECK(conv1->offset.at(0) == -128);
      CHECK(conv1->is_symmetric);
      const io::ModuleEncodingsFile modules = io::parse_module_encodings(torch, files[2]);
      CHECK(modules.activations.size() == 6);
      CHECK(modules.parameters.size() == 4);
      CHECK(modules.quantizer_args->per_channel_quantization);
    }
    CHECK_THROWS_AS(sim.export_to(folder.path(), "net", {.encodings_version = "3"}), Error);
    CHECK_THROWS_AS(sim.export_to(folder.path(), "../net"), Error);
    const std::string blocked = folder.write("file", "x");
    CHECK_THROWS_WITH_AS(sim.export_to(blocked, "net"), doctest::Contains("file"), Error);
  }
}
