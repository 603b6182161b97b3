// What export_to writes besides the golden files: options, version 2.0.0, int32 biases.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/safetensors.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/quantsim.h"
#include "rung/version.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using Json = nlohmann::json;

namespace {

Json json_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.is_open(), path);
  return Json::parse(file);
}

/// Exports without weights and returns <prefix>.encodings.
Json exported(const QuantizationSimModel& sim, ExportOptions options) {
  const TemporaryFolder folder;
  options.export_model = false;
  return json_of(sim.export_to(folder.path(), "net", options).at(0));
}

}  // namespace

TEST_SUITE("quantsim: export") {
  TEST_CASE("version 2.0.0 has one entry per quantized tensor, and int32 biases") {
    QuantizationSimModel sim = calibrated({.default_param_bw = 4, .config_file = "per_channel"});
    const Json file = exported(sim, {.encodings_version = "2.0.0"});
    CHECK(file.at("version") == "2.0.0");
    CHECK(file.size() == 3);
    CHECK(file.at("producer") == Json{{"package", "rung"}, {"version", RUNG_VERSION}});
    CHECK(file.at("encodings").size() == sim.quantizers().size() + 4);
    for (const QuantizerHandle& each : sim.quantizers()) {
      CAPTURE(each.name());
      const Json entry = entry_of(file, each.source().name());
      REQUIRE_FALSE(entry.is_null());
      const Encoding encoding = each.encoding();
      if (each.place() == QuantizerPlace::parameter) {
        CHECK(entry.at("output_dtype") == (each.bitwidth() == 4 ? "int4" : "int8"));
        CHECK_FALSE(entry.contains("y_zero_point"));
      } else {
        CHECK(entry.at("output_dtype") == "uint8");
        CHECK(entry.value("y_zero_point", 0) == -encoding.offset.at(0));
      }
      if (encoding.per_channel()) {
        CHECK(entry.at("axis") == 0);
        CHECK(entry.at("y_scale").get<std::vector<float>>() == encoding.scale);
      } else {
        CHECK(entry.at("y_scale").get<float>() == encoding.scale.at(0));
        CHECK_FALSE(entry.contains("axis"));
      }
    }
  }

  TEST_CASE("a symmetric activation has unsigned codes around the middle in version 2.0.0") {
    QuantizationSimModel sim = calibrated({});
    sim.quantizer("add").set_symmetric(true);
    sim.quantizer("conv2").set_symmetry(Symmetry::strict_symmetric);
    const Json file = exported(sim, {.encodings_version = "2.0.0"});
    for (const char* name : {"add", "conv2"}) {
      CHECK(entry_of(file, name).at("output_dtype") == "uint8");
      CHECK(entry_of(file, name).at("y_zero_point") == 128);
    }
  }

  TEST_CASE("a bias's int32 scale is scale_x * scale_w, per channel") {
    QuantizationSimModel sim = calibrated({.config_file = "aimet_2024_per_channel"});
    const Json file = exported(sim, {.encodings_version = "2.0.0"});
    const float x = sim.quantizer("conv1.input0").encoding().scale.at(0);
    const std::vector<float> w = sim.quantizer("conv1.weight").encoding().scale;
    const Json bias = entry_of(file, "conv1.bias");
    CHECK(bias.at("output_dtype") == "int32");
    CHECK(bias.at("axis") == 0);
    CHECK_FALSE(bias.contains("y_zero_point"));
    REQUIRE(bias.at("y_scale").size() == w.size());
    for (std::size_t c = 0; c < w.size(); ++c)
      CHECK(bias.at("y_scale")[c].get<float>() == x * w[c]);
    // fc: a per-tensor weight behind a quantized Flatten.
    const float fc = sim.quantizer("flatten").encoding().scale.at(0) *
                     sim.quantizer("fc.weight").encoding().scale.at(0);
    CHECK(entry_of(file, "fc.bias").at("y_scale").get<float>() == fc);
    // With those scales a bias is exact to half a step.
    const ConstTensor& value = sim.graph().parameter("fc.bias").value();
    for (const float v : value.data()) {
      const double code = std::nearbyint(static_cast<double>(v) / fc);
      CHECK(std::abs(code * fc - v) <= 0.5 * fc * 1.001);
    }
  }

  TEST_CASE("the scale of an input is that before layers that only move data") {
    QuantizationSimModel sim = calibrated({.config_file = "per_tensor"});
    const Json file = exported(sim, {.encodings_version = "2.0.0"});
    CHECK(entry_of(file, "flatten").is_null());
    CHECK(entry_of(file, "fc.bias").at("y_scale").get<float>() ==
          sim.quantizer("add").encoding().scale.at(0) *
              sim.quantizer("fc.weight").encoding().scale.at(0));
  }

  TEST_CASE("a bias without a quantized input or weight has no entry") {
    QuantizationSimModel sim = calibrated({});
    sim.quantizer("add").disable();
    sim.quantizer("conv1.weight").disable();
    const Json file = exported(sim, {.encodings_version = "2.0.0"});
    CHECK(entry_of(file, "fc.bias").is_null());
    CHECK(entry_of(file, "conv1.bias").is_null());
    CHECK_FALSE(entry_of(file, "conv2.bias").is_null());
  }

  TEST_CASE("export_int32_bias is on from version 2.0.0 on, and can be chosen") {
    QuantizationSimModel sim = calibrated({});
    CHECK(entry_of(exported(sim, {}), "fc.bias").is_null());
    CHECK(entry_of(exported(sim, {.encodings_version = "2.0.0", .export_int32_bias = false}),
                   "fc.bias")
              .is_null());
    const Json bias = entry_of(exported(sim, {.export_int32_bias = true}), "fc.bias");
    CHECK(bias.at("bw") == 32);
    CHECK(bias.at("offset").at(0) == INT32_MIN);
    CHECK(bias.at("is_sym") == true);
  }

  TEST_CASE("a bias that int32 cannot hold enlarges its channel's weight scale, in the file") {
    QuantizationSimModel sim = calibrated({.config_file = "per_channel"});
    const std::vector<float> before = sim.quantizer("conv1.weight").encoding().scale;
    sim.graph().parameter("conv1.bias").edit().data()[1] = 1e9f;
    const Json file = exported(sim, {.encodings_version = "2.0.0"});
    const Json weight = entry_of(file, "conv1.weight"), bias = entry_of(file, "conv1.bias");
    for (const std::size_t c : {0u, 2u}) CHECK(weight.at("y_scale")[c].get<float>() == before[c]);
    CHECK(1e9f / bias.at("y_scale")[1].get<float>() == doctest::Approx(1 << 30));
    CHECK(sim.quantizer("conv1.weight").encoding().scale == before);
    // Without int32 biases nothing has to fit.
    const Json plain = exported(sim, {.encodings_version = "2.0.0", .export_int32_bias = false});
    CHECK(entry_of(plain, "conv1.weight").at("y_scale")[1].get<float>() == before[1]);
  }

  TEST_CASE("a bias that is no number is refused with its name, and no file is written") {
    QuantizationSimModel sim = calibrated({.config_file = "per_channel"});
    sim.graph().parameter("conv1.bias").edit().data()[1] = std::numeric_limits<float>::quiet_NaN();
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(sim.export_to(folder.path("out"), "net", {.encodings_version = "2.0.0"}),
                         doctest::Contains("[Conv conv1] conv1.bias at channel 1"), Error);
    CHECK_FALSE(std::filesystem::exists(folder.path("out")));
  }

  TEST_CASE("what a version cannot express is refused with the tensor's name") {
    QuantizationSimModel sim = calibrated({.default_param_bw = 5});
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(sim.export_to(folder.path("out"), "net", {.encodings_version = "2.0.0"}),
                         doctest::Contains("weight\" has 5 bits"), Error);
    CHECK_FALSE(std::filesystem::exists(folder.path("out")));
  }

  TEST_CASE("export_model = false writes only encodings, under a prefix of their own if given") {
    QuantizationSimModel sim = calibrated({});
    const TemporaryFolder folder;
    const auto only = sim.export_to(folder.path("a"), "net", {.export_model = false});
    CHECK(only == std::vector<std::string>{folder.path("a/net.encodings"),
                                           folder.path("a/net_torch.encodings")});
    CHECK_FALSE(std::filesystem::exists(folder.path("a/net.safetensors")));
    const auto named =
        sim.export_to(folder.path("b"), "net", {.filename_prefix_encodings = "net_w8a8"});
    CHECK(named == std::vector<std::string>{
                       folder.path("b/net.safetensors"), folder.path("b/net_w8a8.encodings"),
                       folder.path("b/net_w8a8_torch.encodings"), folder.path("b/net.onnx")});
    CHECK_THROWS_WITH_AS(
        sim.export_to(folder.path("c"), "net", {.filename_prefix_encodings = "../x"}),
        doctest::Contains("../x"), Error);
  }

  TEST_CASE("export_weights_to_safetensors writes the master weights alone, calibrated or not") {
    QuantizationSimModel sim(small_net());
    const TemporaryFolder folder;
    const std::string path = sim.export_weights_to_safetensors(folder.path("out"), "net");
    CHECK(path == folder.path("out/net.safetensors"));
    const io::SafetensorsFile file(path);
    CHECK(file.tensors().size() == small_net().parameters().size());
    CHECK(values(file.tensor("fc.weight")) == values(small_net().parameter("fc.weight").value()));
    CHECK_THROWS_WITH_AS(sim.export_weights_to_safetensors(folder.path(), "a/b"),
                         doctest::Contains("a/b"), Error);
  }

  TEST_CASE("propagate_encodings adds bitwidth and dtype inside fused groups") {
    const std::string config = "aimet_2024";
    QuantizationSimModel sim = calibrated({.default_output_bw = 6, .config_file = config});
    CHECK(entry_of(exported(sim, {}), "conv1").is_null());
    CHECK(entry_of(exported(sim, {.propagate_encodings = true}), "conv1") ==
          Json({{"name", "conv1"}, {"bw", 6}, {"dtype", "INT"}, {"enc_type", "PER_TENSOR"}}));
    const Json old = exported(sim, {.encodings_version = "0.6.1", .propagate_encodings = true});
    CHECK(old.at("activation_encodings").at("conv1") ==
          Json::array({{{"bitwidth", 6}, {"dtype", "int"}}}));
    CHECK(old.at("activation_encodings").at("relu1").at(0).contains("scale"));
    // Such a file can be loaded: there is nothing to set.
    QuantizationSimModel other(small_net(), {.config_file = config});
    CHECK(other.load_encodings(old.dump(), {.require_all = true}).skipped ==
          std::vector<std::string>{"conv1"});
  }

  TEST_CASE("excluded layers stand in every file") {
    QuantizationSimModel sim(small_net());
    sim.exclude_layers_from_quantization({"fc", "conv1"});
    calibrate_small_net(sim);
    const TemporaryFolder folder;
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0", "2.1.0"}) {
      CAPTURE(version);
      const auto files = sim.export_to(folder.path(version), "net", {.encodings_version = version});
      for (const std::size_t i : {1u, 2u})
        CHECK(json_of(files.at(i)).at("excluded_layers") == Json::array({"conv1", "fc"}));
      if (version != std::string("0.6.1"))
        CHECK(entry_of(json_of(files.at(1)), "fc.bias").is_null());
    }
  }

  TEST_CASE("a sim of floats says so, and has entries without numbers") {
    QuantizationSimModel sim(small_net(), {.default_output_bw = 16,
                                           .default_param_bw = 16,
                                           .default_data_type = QuantizationDataType::floating});
    const Json file = exported(sim, {});  // nothing to calibrate
    CHECK(file.at("quantizer_args").at("dtype") == "float");
    CHECK(
        entry_of(file, "fc.weight") ==
        Json({{"name", "fc.weight"}, {"bw", 16}, {"dtype", "FLOAT"}, {"enc_type", "PER_TENSOR"}}));
    CHECK(entry_of(exported(sim, {.encodings_version = "2.0.0"}), "relu1") ==
          Json({{"name", "relu1"}, {"output_dtype", "float16"}}));
  }

  TEST_CASE("save_encodings_to_json writes what get_activation_param_encodings returns") {
    QuantizationSimModel sim(small_net());
    CHECK(sim.get_activation_param_encodings().activations.empty());
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(sim.save_encodings_to_json(folder.path("out"), "net"),
                         doctest::Contains("no encoding"), Error);
    CHECK_FALSE(std::filesystem::exists(folder.path("out")));
    calibrate_small_net(sim);
    const std::string path = sim.save_encodings_to_json(folder.path("out"), "net");
    CHECK(path == folder.path("out/net.json"));
    const Json json = json_of(path);
    CHECK(json.size() == 2);
    CHECK(json.at("activation_encodings").at("conv1").at("input").contains("0"));
    CHECK(Json::parse(io::encodings_text(sim.get_activation_param_encodings())) == json);
    sim.quantizer("relu1").reset_encoding_stats();
    CHECK(sim.get_activation_param_encodings().activations.size() ==
          json.at("activation_encodings").size() - 1);
    CHECK_THROWS_WITH_AS(sim.save_encodings_to_json(folder.path(), "a/b"), doctest::Contains("a/b"),
                         Error);
  }
}
