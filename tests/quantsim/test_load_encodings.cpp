// load_encodings and its relatives: AIMET's rules for what a file says and a sim has.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "quant/stored_range.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/ops/arithmetic.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using Json = nlohmann::json;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.is_open(), path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> names_of(QuantizationSimModel& sim) {
  std::vector<std::string> names;
  for (const QuantizerHandle& each : sim.quantizers()) names.push_back(each.name());
  return names;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// The encodings of a calibrated sim in a file of this kind, as text.
std::string exported(QuantizationSimModel& sim, const std::string& version, bool by_module) {
  const TemporaryFolder folder;
  sim.export_to(folder.path(), "net", {.encodings_version = version, .export_model = false});
  return text_of(folder.path(by_module ? "net_torch.encodings" : "net.encodings"));
}

QuantizationSimModel calibrated(QuantSimOptions options) {
  QuantizationSimModel sim(small_net(), std::move(options));
  calibrate_small_net(sim);
  return sim;
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
  TEST_CASE("files of every version and keying give another sim the same encodings") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const std::string expected = fingerprint_encodings(sim);
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0"})
      for (const bool by_module : {false, true}) {
        CAPTURE(version);
        CAPTURE(by_module);
        QuantizationSimModel other(small_net(), {.config_file = "per_channel"});  // 8 bits
        const LoadedEncodings loaded =
            other.load_encodings(exported(sim, version, by_module), {.require_all = true});
        CHECK(loaded.loaded == names_of(other));
        CHECK(fingerprint_encodings(other) == expected);
        CHECK(run_small_net(other) == run_small_net(sim));
      }
  }

  TEST_CASE("scale and offset come back bit for bit from stored ranges") {
    Rng rng(11);
    int exact = 0, all = 0;
    for (const int bitwidth : {2, 4, 8, 16})
      for (const Symmetry symmetry : {Symmetry::asymmetric, Symmetry::symmetric,
                                      Symmetry::strict_symmetric, Symmetry::unsigned_symmetric})
        for (int i = 0; i < 2000; ++i) {
          const double width = std::pow(10.0, rng.uniform(-3.0, 3.0));
          Range seen{static_cast<float>(-width * rng.uniform(0.0, 1.0)),
                     static_cast<float>(width * rng.uniform(0.0, 1.0))};
          if (symmetry == Symmetry::unsigned_symmetric || i % 5 == 0) seen.min = 0.0f;
          const Grid grid = make_grid(bitwidth, symmetry);
          const Encoding encoding =
              encoding_from_range(legal_range(seen, grid, symmetry), bitwidth, symmetry);
          const Encoding back = encoding_from_range(
              stored_range(encoding.scale[0], encoding.offset[0], bitwidth, symmetry), bitwidth,
              symmetry);
          ++all;
          exact += back.scale == encoding.scale && back.offset == encoding.offset;
        }
    CHECK(exact == all);
  }

  TEST_CASE("a path is read, a missing file is named") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const TemporaryFolder folder;
    const std::string path = sim.save_encodings_to_json(folder.path(), "net");
    QuantizationSimModel other(small_net(), kW4A8);
    other.load_encodings(path);
    CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));
    CHECK_THROWS_WITH_AS(other.load_encodings(folder.path("no.json")),
                         doctest::Contains("no.json: cannot open"), Error);
    const std::string damaged = folder.write("damaged.json", "{\"activation_encodings\": ");
    CHECK_THROWS_WITH_AS(other.load_encodings(damaged), doctest::Contains("damaged.json"), Error);
    CHECK_THROWS_WITH_AS(other.load_encodings("{}"), doctest::Contains("has no encodings"), Error);
  }

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
    constexpr auto kLearning = QuantScheme::training_range_learning_with_tf_init;
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
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0"})
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
    QuantizationSimModel other(small_net(), {});
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
    QuantizationSimModel sim(small_net(), {});
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

  TEST_CASE("version 2.0.0 does not state the symmetry: the quantizer's own is kept if it can be") {
    QuantizationSimModel sim(small_net(), {});
    const auto load = [&](const std::string& name, const std::string& entry) {
      sim.load_encodings(R"({"version": "2.0.0", "encodings": [{"name": ")" + name + R"(", )" +
                         entry + "}]}");
      return sim.quantizer(name).symmetry();
    };
    const std::string centred = R"("output_dtype": "uint8", "y_scale": 0.1, "y_zero_point": 128)";
    CHECK(load("add", centred) == Symmetry::asymmetric);
    CHECK(sim.quantizer("add").encoding().effective_range().max == doctest::Approx(12.7));
    sim.quantizer("add").set_symmetry(Symmetry::strict_symmetric);
    CHECK(load("add", centred) == Symmetry::strict_symmetric);
    CHECK(sim.quantizer("add").encoding().scale[0] == 0.1f);
    CHECK(load("add", R"("output_dtype": "uint8", "y_scale": 0.1, "y_zero_point": 3)") ==
          Symmetry::asymmetric);
    CHECK(load("fc.weight", R"("output_dtype": "int4", "y_scale": 0.1)") == Symmetry::symmetric);
    sim.quantizer("fc.weight").set_symmetric(false);
    CHECK(load("fc.weight", R"("output_dtype": "int4", "y_scale": 0.1)") == Symmetry::symmetric);
  }

  TEST_CASE("scales of outputs lie where the file has them: a Gemm's weight may be transposed") {
    Graph graph;
    const Var x = nn::linear(graph.input("x", {1, 4}), {.out_features = 3}, "fc");
    const Var matrix = graph.parameter("matrix", Tensor::full({3, 2}, 0.5f), Role::weight);
    graph.set_outputs({nn::matmul(x, matrix, "product")});
    const TemporaryFolder folder;
    QuantizationSimModel sim(graph, {.config_file = folder.write("config.json", R"({
      "defaults": {"ops": {"is_output_quantized": "True"},
                   "params": {"is_quantized": "True", "is_symmetric": "True"},
                   "per_channel_quantization": "True"},
      "params": {}, "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})")});
    CHECK(sim.quantizer("matrix").op().quantizer().axis() == 1);
    CHECK(sim.quantizer("fc.weight").op().quantizer().axis() == 0);
    const auto load = [&](int axis, const std::string& scales) {
      sim.load_encodings(R"({"version": "2.0.0", "encodings": [{"name": "fc.weight",
                             "output_dtype": "int8", "axis": )" +
                             std::to_string(axis) + R"(, "y_scale": )" + scales + "}]}",
                         {.partial = true});
    };
    for (const int axis : {0, 1, -1}) {
      load(axis, "[0.5, 0.25, 1]");
      CHECK(sim.quantizer("fc.weight").encoding().scale == std::vector<float>{0.5f, 0.25f, 1.0f});
    }
    CHECK_THROWS_WITH_AS(load(1, "[0.5, 0.25, 1, 1]"), doctest::Contains("has 4 scales"), Error);
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

  TEST_CASE("entries without numbers and int32 biases are skipped, not refused") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const LoadedEncodings loaded = sim.load_encodings(R"({"version": "2.0.0", "encodings": [
        {"name": "conv1", "output_dtype": "uint8"},
        {"name": "add", "output_dtype": "uint8"},
        {"name": "fc.bias", "output_dtype": "int32", "y_scale": 0.001},
        {"name": "relu1", "output_dtype": "uint8", "y_scale": 0.1}]})");
    CHECK(loaded.loaded == std::vector<std::string>{"relu1"});
    CHECK(loaded.skipped == std::vector<std::string>{"conv1", "add", "fc.bias"});
  }
}
