// load_encodings and its relatives: AIMET's rules for what a file says and a sim has.

#include <algorithm>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

const QuantSimOptions kW4A8{.default_param_bw = 4, .config_file = "per_channel"};

/// A module-keyed file with these entries.
std::string module_file(const std::string& activations, const std::string& params) {
  return R"({"activation_encodings": {)" + activations + R"(}, "param_encodings": {)" + params +
         "}}";
}

const std::string kEntry =
    R"({"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "min": -1.0, "max": 4.0,
        "scale": 0.0196078431372549, "offset": -51})";
const std::string kWeight =
    R"({"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "min": -1.28, "max": 1.27,
        "scale": 0.01, "offset": -128})";

}  // namespace

TEST_SUITE("quantsim: load_encodings") {
  TEST_CASE("strict refuses entries that belong to nothing, and names them all") {
    QuantizationSimModel sim = calibrated(kW4A8);
    sim.quantizer("relu1").disable();
    const std::string before = fingerprint(sim);
    const std::string text =
        module_file(R"("conv9": {"output": {"0": )" + kEntry + R"(}}, "conv1": {"output": {"0": )" +
                        kEntry + R"(}}, "relu1": {"output": {"0": )" + kEntry +
                        R"(}}, "add": {"output": {"0": )" + kEntry + "}}",
                    R"("fc.bias": [)" + kEntry + "]");
    const auto load = [&] { sim.load_encodings(text); };
    CHECK_THROWS_WITH_AS(load(), doctest::Contains("4 entries"), Error);
    CHECK_THROWS_WITH_AS(load(), doctest::Contains("conv9.output_quantizers.0\" (unknown"), Error);
    CHECK_THROWS_WITH_AS(
        load(), doctest::Contains("conv1.output_quantizers.0\" (no quantizer there)"), Error);
    CHECK_THROWS_WITH_AS(load(), doctest::Contains("relu1.output_quantizers.0\" (disabled)"),
                         Error);
    CHECK_THROWS_WITH_AS(load(), doctest::Contains("\"fc.bias\" (no quantizer there)"), Error);
    CHECK(fingerprint(sim) == before);

    const LoadedEncodings loaded = sim.load_encodings(text, {.strict = false});
    CHECK(loaded.loaded == std::vector<std::string>{"add"});
    CHECK(loaded.skipped.size() == 4);
    CHECK(contains(loaded.skipped, "fc.bias"));
    CHECK_FALSE(sim.quantizer("relu1").enabled());
    CHECK(sim.quantizer("add").encoding().file_offset() == -51);
    CHECK(sim.quantizer("add").encoding().scale[0] == 0.0196078431372549f);
  }

  TEST_CASE("quantizers without an entry stay, are disabled, or are an error") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const std::string text = module_file(R"("add": {"output": {"0": )" + kEntry + "}}", "");
    const std::string before = fingerprint(sim);
    CHECK_THROWS_WITH_AS(sim.load_encodings(text, {.require_all = true}),
                         doctest::Contains("conv1.weight"), Error);
    CHECK(fingerprint(sim) == before);

    const Range relu = sim.quantizer("relu1").ranges().at(0);
    const LoadedEncodings loaded = sim.load_encodings(text);
    CHECK(loaded.missing.size() == names_of(sim).size() - 1);
    CHECK(sim.quantizer("relu1").enabled());
    CHECK(sim.quantizer("relu1").ranges().at(0) == relu);

    sim.quantizer("conv2").freeze();
    CHECK(load_encodings_to_sim(sim, text).missing.size() == names_of(sim).size() - 2);
    for (const QuantizerHandle& each : sim.quantizers())
      CHECK(each.enabled() == (each.name() == "add" || each.name() == "conv2"));
    CHECK_NOTHROW(run_small_net(sim));
  }

  TEST_CASE("entries of quantizers without numbers are refused by name, as by AIMET 2.42") {
    const std::string old = R"({"bitwidth": 8, "dtype": "int"})";
    const std::string module = R"("relu1": {"output": {"0": )" + old + "}}";
    const std::string texts[] = {
        module_file(R"("add": {"output": {"0": )" + kEntry + "}}, " + module, ""),
        R"({"version": "0.6.1", "activation_encodings": {"relu1": [)" + old +
            R"(]}, "param_encodings": {}})",
        R"({"version": "1.0.0", "param_encodings": [], "activation_encodings": [
            {"name": "relu1", "dtype": "INT", "bw": 8, "enc_type": "PER_TENSOR"}]})",
        R"({"version": "2.0.0", "encodings": [{"name": "relu1", "output_dtype": "uint8"}]})"};
    for (const std::string& text : texts) {
      CAPTURE(text);
      QuantizationSimModel sim = calibrated(kW4A8);
      const std::string before = fingerprint(sim);
      for (const bool strict : {true, false})
        for (const bool partial : {true, false})
          CHECK_THROWS_WITH_AS(sim.load_encodings(text, {.strict = strict, .partial = partial}),
                               doctest::Contains("no scale and no min and max: \"relu1"), Error);
      CHECK(fingerprint(sim) == before);
      // Where nothing is quantized, or nothing may change, they say nothing.
      sim.quantizer("relu1").freeze();
      CHECK_NOTHROW(sim.load_encodings(text));
      sim.quantizer("relu1").unfreeze();
      sim.quantizer("relu1").disable();
      CHECK_NOTHROW(sim.load_encodings(text));
    }
  }

  TEST_CASE("a frozen quantizer is left alone") {
    QuantizationSimModel sim = calibrated(kW4A8);
    sim.quantizer("add").freeze();
    const Range before = sim.quantizer("add").ranges().at(0);
    const LoadedEncodings loaded = sim.load_encodings(
        module_file(R"("add": {"output": {"0": )" + kEntry + "}}", ""), {.requires_grad = true});
    CHECK(loaded.frozen == std::vector<std::string>{"add"});
    CHECK(loaded.loaded.empty());
    CHECK(sim.quantizer("add").ranges().at(0) == before);
    CHECK_FALSE(sim.quantizer("add").learned());
  }

  TEST_CASE("requires_grad and allow_overwrite change what was loaded, else it stays as it was") {
    const std::string text = module_file(R"("add": {"output": {"0": )" + kEntry + "}}", "");
    const auto sim_of = [](QuantScheme scheme) {
      return QuantizationSimModel(small_net(), {.quant_scheme = scheme});
    };
    const auto kLearning = QuantScheme::training_range_learning_with_tf_init;
    QuantizationSimModel learning = sim_of(kLearning),
                         fixed = sim_of(QuantScheme::post_training_tf);
    learning.load_encodings(text);
    CHECK(learning.quantizer("add").learned());  // as after calibration
    CHECK_FALSE(learning.quantizer("relu1").learned());
    learning.load_encodings(text, {.requires_grad = false});
    CHECK_FALSE(learning.quantizer("add").learned());
    learning.load_encodings(text);
    CHECK_FALSE(learning.quantizer("add").learned());
    fixed.load_encodings(text);
    CHECK_FALSE(fixed.quantizer("add").learned());
    fixed.load_encodings(text, {.requires_grad = true});
    CHECK(fixed.quantizer("add").learned());
    fixed.load_encodings(text, {.allow_overwrite = true});
    CHECK_FALSE(fixed.quantizer("add").frozen());
    fixed.load_encodings(text, {.allow_overwrite = false});
    CHECK(fixed.quantizer("add").frozen());
    CHECK_FALSE(fixed.quantizer("add").learned());
    CHECK_THROWS_WITH_AS(
        fixed.load_encodings(text, {.requires_grad = true, .allow_overwrite = false}),
        doctest::Contains("allow_overwrite"), Error);
  }

  TEST_CASE("load_and_freeze_encodings freezes, and skips disabled quantizers if asked to") {
    const std::string text = module_file(R"("add": {"output": {"0": )" + kEntry +
                                             R"(}}, "relu1": {"output": {"0": )" + kEntry + "}}",
                                         "");
    QuantizationSimModel sim = calibrated(kW4A8);
    sim.quantizer("relu1").disable();
    CHECK_THROWS_WITH_AS(sim.load_and_freeze_encodings(text), doctest::Contains("relu1"), Error);
    CHECK_FALSE(sim.quantizer("add").frozen());
    sim.load_and_freeze_encodings(text, {.ignore_when_quantizer_disabled = true});
    CHECK(sim.quantizer("add").frozen());
    const Encoding loaded = sim.quantizer("add").encoding();
    calibrate_small_net(sim);
    CHECK(sim.quantizer("add").encoding().scale == loaded.scale);
  }

  TEST_CASE("set_and_freeze_param_encodings takes the parameters of any file, and only them") {
    QuantizationSimModel sim = calibrated(kW4A8);
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0", "2.1.0"})
      for (const bool by_module : {false, true}) {
        CAPTURE(version);
        CAPTURE(by_module);
        QuantizationSimModel other(small_net(), {.config_file = "per_channel"});
        CHECK(
            other.set_and_freeze_param_encodings(exported(sim, version, by_module)).loaded.size() ==
            4);
        for (const QuantizerHandle& each : other.quantizers()) {
          const bool is_parameter = each.place() == QuantizerPlace::parameter;
          CHECK(each.initialized() == is_parameter);
          CHECK(each.frozen() == is_parameter);
          if (is_parameter)
            CHECK(each.encoding().scale == sim.quantizer(each.name()).encoding().scale);
        }
        calibrate_small_net(other);
        CHECK(other.quantizer("fc.weight").bitwidth() == 4);
      }
    // AIMET's old AdaRound export is the bare table of parameters.
    QuantizationSimModel other(small_net(), {.config_file = "per_tensor"});
    other.set_and_freeze_param_encodings(R"({"fc.weight": [)" + kWeight + "]}");
    CHECK(other.quantizer("fc.weight").encoding().scale[0] == 0.01f);
    CHECK_THROWS_WITH_AS(other.set_and_freeze_param_encodings(
                             module_file(R"("add": {"output": {"0": )" + kEntry + "}}", "")),
                         doctest::Contains("has no encodings of parameters"), Error);
    CHECK_THROWS_WITH_AS(
        other.set_and_freeze_param_encodings(R"({"fc9.weight": [)" + kWeight + "]}"),
        doctest::Contains("fc9.weight"), Error);
  }

  TEST_CASE("entries that do not fit are refused by name, and nothing has changed") {
    QuantizationSimModel sim = calibrated(kW4A8);  // conv1.weight has 3 channels, fc.weight 1
    const std::string before = fingerprint(sim);
    const auto message = [&](const std::string& weight_entries) {
      try {
        // An entry that fits stands before the one that does not.
        sim.load_encodings(module_file(R"("add": {"output": {"0": )" + kEntry + "}}",
                                       R"("conv1.weight": [)" + weight_entries + "]"));
      } catch (const Error& error) {
        CHECK(fingerprint(sim) == before);
        return std::string(error.what());
      }
      return std::string("no Error");
    };
    CHECK(message(kWeight) ==
          "encodings: the entry \"conv1.weight\" has 1 scales, the quantizer has 3 "
          "(per-channel(axis 0, 3))");
    const auto thrice = [](const std::string& entry) {
      return entry + ", " + entry + ", " + entry;
    };
    CHECK(message(thrice(R"({"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "min": -1.28,
                             "max": 2.54, "scale": 0.01, "offset": -128})")) ==
          "encodings: the entry \"conv1.weight\" has min -1.28 and max 2.54, but scale 0.01 and "
          "offset -128");
    CHECK(message(thrice(R"({"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "scale": 0.01,
                             "offset": -100})"))
              .find("\"conv1.weight\" is symmetric, but its offset is -100") != std::string::npos);
    CHECK(message(thrice(R"({"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "scale": 0.01,
                             "offset": 3})"))
              .find("\"conv1.weight\" has the offset 3") != std::string::npos);
    CHECK(message(thrice(R"({"bitwidth": 16, "dtype": "float"})"))
              .find("\"conv1.weight\" is a float of 16 bits") != std::string::npos);
    CHECK(message(thrice(R"({"bitwidth": 1, "dtype": "int", "is_symmetric": "True", "scale": 0.01,
                             "offset": -1})"))
              .find("\"conv1.weight\" bitwidth must be 2..32") != std::string::npos);
    CHECK(message(thrice(R"({"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "scale": 1e-12,
                             "offset": -128})"))
              .find("\"conv1.weight\" has the scale 1e-12") != std::string::npos);
    CHECK(message(thrice(kWeight)) == "no Error");
  }

  TEST_CASE("symmetry comes from the file: strict, unsigned, and asymmetric grids") {
    QuantizationSimModel sim(small_net(), {.config_file = "per_tensor"});
    const auto load = [&](const std::string& offset_and_symmetry) {
      sim.load_encodings(
          module_file("", R"("fc.weight": [{"bitwidth": 8, "dtype": "int", "scale": 0.01, )" +
                              offset_and_symmetry + "}]"));
      return sim.quantizer("fc.weight").encoding();
    };
    CHECK(load(R"("offset": -127, "is_symmetric": "True")").grid == Grid{-127, 127});
    CHECK(load(R"("offset": 0, "is_symmetric": "True")").symmetry == Symmetry::unsigned_symmetric);
    CHECK(load(R"("offset": -255, "is_symmetric": "False")").effective_range().max == 0.0f);
    CHECK(load(R"("offset": -128, "is_symmetric": "True")").grid == Grid{-128, 127});
    // An entry with min and max only is completed with the quantizer's own symmetry.
    sim.load_encodings(R"({"fc.weight": [{"bitwidth": 4, "dtype": "int", "is_symmetric": "True",
                                          "min": -0.5, "max": 0.7}]})");
    CHECK(sim.quantizer("fc.weight").encoding().scale[0] == doctest::Approx(0.1));
    CHECK(sim.quantizer("fc.weight").encoding().grid == Grid{-8, 7});
  }

  TEST_CASE("edges of one value are one quantizer: their entries must agree") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 6, 6});
    Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv1");
    Var b = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv2");
    graph.set_outputs({nn::add(a, b, "add")});
    QuantizationSimModel sim(graph);
    const auto edges = [](const std::string& first, const std::string& second) {
      return module_file(R"("conv1": {"input": {"0": )" + first +
                             R"(}}, "conv2": {"input": {"0": )" + second + "}}",
                         "");
    };
    std::string other = kEntry;
    other.replace(other.find("-51"), 3, "-50");
    other.replace(other.find("-1.0"), 4, "-0.98039");
    other.replace(other.find("4.0"), 3, "4.0196");
    CHECK_THROWS_WITH_AS(sim.load_encodings(edges(kEntry, other)), doctest::Contains("conv2"),
                         Error);
    CHECK_FALSE(sim.quantizer("conv1.input0").initialized());
    sim.load_encodings(edges(kEntry, kEntry));
    CHECK(sim.quantizer("conv2.input0").encoding().file_offset() == -51);
    // By tensor one entry is for both.
    sim.load_encodings(R"({"version": "2.0.0", "encodings": [
        {"name": "x", "output_dtype": "uint4", "y_scale": 0.5, "y_zero_point": 2}]})");
    CHECK(sim.quantizer("conv1.input0").bitwidth() == 4);
    CHECK(sim.quantizer("conv2.input0").bitwidth() == 4);
  }
}
