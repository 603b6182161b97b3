// Entries of tensors without a quantizer: which follow from which, and which AIMET wants.

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/ops/activations.h"
#include "rung/quantsim/quantsim.h"
#include "support/onnx_file.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"

using namespace rung;
using Json = nlohmann::json;

namespace {

/// x -> conv1 -> clip1 -> pool -> dw -> clip2 -> double = 2 * clip2 -> flatten -> fc, and if there
/// is to be a branch, conv1 -> more.
Graph clipped_net(bool has_branch = false) {
  Graph graph;
  Var x = graph.input("x", {1, 2, 8, 8});
  const Var conv1 = nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv1");
  x = nn::relu6(conv1, "clip1");
  x = nn::max_pool2d(x, {.kernel = 2}, "pool");
  x = nn::relu6(nn::conv2d(x, {.out_channels = 4, .kernel = 3, .groups = 4}, "dw"), "clip2");
  x = nn::mul(x, graph.parameter("two", Tensor::full({1}, 2.0f), Role::buffer), "double");
  const Var fc = nn::linear(nn::flatten(x, "flatten"), {.out_features = 3}, "fc");
  if (has_branch)
    graph.set_outputs({fc, nn::tanh(conv1, "more")});
  else
    graph.set_outputs({fc});
  Rng rng(3);
  for (Parameter* parameter : graph.parameters())
    if (parameter->name() != "two")
      for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal() * 0.4);
  return graph;
}

/// Quantizes it with none behind what only moves or scales numbers, nor inside layers with a Clip.
QuantizationSimModel clipped_sim(bool has_branch = false) {
  QuantizationSimModel sim(clipped_net(has_branch), {.quant_scheme = QuantScheme::post_training_tf,
                                                     .config_file = "aimet_2024"});
  const std::set<std::string> wanted = {"conv1.input0", "clip1", "clip2", "fc", "more"};
  for (QuantizerHandle each : sim.quantizers())
    if (each.place() != QuantizerPlace::parameter && !wanted.contains(each.name())) each.disable();
  sim.compute_encodings([](Executor& executor) {
    const Tensor x = random_tensor({4, 2, 8, 8}, 1);
    executor.forward({&x, 1});
  });
  return sim;
}

Json exported(const QuantizationSimModel& sim, ExportOptions options) {
  const TemporaryFolder folder;
  options.export_model = false;
  std::ifstream file(sim.export_to(folder.path(), "net", options).at(0));
  return Json::parse(file);
}

std::set<std::string> names_in(const Json& file) {
  std::set<std::string> names;
  for (const char* list : {"encodings", "activation_encodings", "param_encodings"})
    if (file.contains(list))
      for (const Json& entry : file.at(list)) names.insert(entry.at("name").get<std::string>());
  return names;
}

/// Returns the names that are in a file only if it is written with `derived`.
std::set<std::string> added_by(const QuantizationSimModel& sim, DerivedEntries derived,
                               const std::string& version) {
  ExportOptions options{.encodings_version = version, .export_int32_bias = false};
  const std::set<std::string> own = names_in(exported(sim, options));
  options.derived = derived;
  std::set<std::string> all = names_in(exported(sim, options));
  for (const std::string& name : own) CHECK(all.erase(name) == 1);
  return all;
}

}  // namespace

TEST_SUITE("quantsim: derived entries") {
  TEST_CASE("all of them: around a Clip and a MaxPool, and with products") {
    const QuantizationSimModel sim = clipped_sim();
    for (const char* version : {"1.0.0", "2.0.0", "2.1.0"}) {
      CAPTURE(version);
      CHECK(added_by(sim, DerivedEntries::all, version) ==
            std::set<std::string>{"clip1.max", "clip1.min", "clip2.max", "clip2.min", "conv1",
                                  "double", "dw", "flatten", "pool", "two"});
    }
  }

  TEST_CASE("they have the numbers of the quantizer that they follow from") {
    const QuantizationSimModel sim = clipped_sim();
    const Json file = exported(sim, {.encodings_version = "2.0.0", .derived = DerivedEntries::all});
    const auto same = [&](const char* name, const char* source) {
      Json expected = entry_of(file, source);
      expected["name"] = name;
      CHECK(entry_of(file, name) == expected);
    };
    for (const char* name : {"pool", "conv1", "clip1.min", "clip1.max"}) same(name, "clip1");
    for (const char* name : {"dw", "clip2.min", "clip2.max"}) same(name, "clip2");
    same("flatten", "double");
    CHECK(entry_of(file, "double").at("y_scale").get<double>() ==
          2 * entry_of(file, "clip2").at("y_scale").get<double>());
    CHECK(entry_of(file, "two") ==
          Json{{"name", "two"}, {"output_dtype", "uint8"}, {"y_scale", 2.0}});
    const Json old = exported(sim, {.encodings_version = "0.6.1", .derived = DerivedEntries::all});
    const Json& table = old.at("activation_encodings");
    CHECK(table.at("pool") == table.at("clip1"));
    CHECK(table.at("double")[0].at("max").get<double>() ==
          2 * table.at("clip2")[0].at("max").get<double>());
  }

  TEST_CASE("AIMET's strict loading wants none before a Clip, but of depthwise convolutions") {
    const QuantizationSimModel sim = clipped_sim();
    CHECK(added_by(sim, DerivedEntries::loadable, "2.0.0") ==
          std::set<std::string>{"clip1.max", "clip1.min", "clip2.max", "clip2.min", "double", "dw",
                                "flatten", "pool", "two"});
    // In other versions it does not pass on what stands behind ops that move numbers.
    for (const char* version : {"1.0.0", "2.1.0"})
      CHECK(added_by(sim, DerivedEntries::loadable, version) ==
            std::set<std::string>{"clip1.max", "clip1.min", "clip2.max", "clip2.min", "double",
                                  "dw", "two"});
    const Json file =
        exported(sim, {.encodings_version = "2.0.0", .derived = DerivedEntries::loadable});
    CHECK(entry_of(file, "fc.bias").is_null());
    CHECK_FALSE(entry_of(exported(sim, {.encodings_version = "2.0.0",
                                        .derived = DerivedEntries::loadable,
                                        .export_int32_bias = true}),
                         "fc.bias")
                    .is_null());
  }

  TEST_CASE("a tensor with two readers keeps to itself") {
    const QuantizationSimModel sim = clipped_sim(/*has_branch=*/true);
    CHECK_FALSE(added_by(sim, DerivedEntries::all, "2.0.0").contains("conv1"));
  }

  TEST_CASE("the constants have these names in the ONNX file") {
    QuantizationSimModel sim = clipped_sim();
    const onnx::ModelProto model =
        onnxtest::exported(sim.graph(), {.quantizers = io::OnnxQuantizers::baked});
    std::set<std::string> tensors;
    for (const auto& tensor : model.graph().initializer()) tensors.insert(tensor.name());
    for (const auto& node : model.graph().node())
      for (const std::string& output : node.output()) tensors.insert(output);
    for (const std::string& name : added_by(sim, DerivedEntries::all, "2.0.0"))
      CHECK_MESSAGE(tensors.contains(name), name);
  }

  TEST_CASE("they are loaded strictly, and refused where they say something else") {
    QuantizationSimModel sim = clipped_sim();
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0", "2.1.0"}) {
      CAPTURE(version);
      const std::string text =
          exported(sim, {.encodings_version = version, .derived = DerivedEntries::all}).dump();
      CHECK(sim.load_encodings(text, {.require_all = true}).loaded.size() == 7);
    }
    Json file = exported(sim, {.encodings_version = "2.0.0", .derived = DerivedEntries::all});
    for (Json& entry : file.at("encodings"))
      if (entry.at("name") == "double" || entry.at("name") == "clip1.min") entry["y_scale"] = 0.75;
    CHECK_THROWS_WITH_AS(sim.load_encodings(file.dump()),
                         doctest::Contains("2 entries belong to no enabled quantizer"), Error);
  }

  TEST_CASE("constants may have other names in the file, if the numbers are theirs") {
    QuantizationSimModel sim = clipped_sim();
    Json file = exported(sim, {.encodings_version = "2.0.0", .derived = DerivedEntries::all});
    for (Json& entry : file.at("encodings")) {
      if (entry.at("name") == "clip1.min") entry["name"] = "/clip1/Constant_output_0";
      if (entry.at("name") == "clip1.max") entry["name"] = "/clip1/Constant_1_output_0";
    }
    CHECK(sim.load_encodings(file.dump()).missing.empty());
    Json& list = file.at("encodings");
    for (int i = 0; i < 4; ++i) {  // there are not as many constants
      Json more = entry_of(file, "/clip1/Constant_output_0");
      more["name"] = "/more/Constant_output_" + std::to_string(i);
      list.push_back(more);
    }
    CHECK_THROWS_WITH_AS(sim.load_encodings(file.dump()), doctest::Contains("4 entries"), Error);
  }
}
