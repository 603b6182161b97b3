// Exported encodings against the files that AIMET itself wrote.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_runs.h"
#include "rung/io/encodings.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.is_open(), path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string folder_of(const golden::SimRun& run, const std::string& version) {
  return std::string("export/export_") + (run.folded ? "folded_" : "bn_") + run.config + "_" +
         version;
}

void check_entry(const io::TensorEncoding& got, const io::TensorEncoding& expected,
                 golden::Report& report) {
  CHECK(got.dtype == expected.dtype);
  CHECK(got.type == expected.type);
  CHECK(got.bitwidth == expected.bitwidth);
  CHECK(got.is_symmetric == expected.is_symmetric);
  CHECK(got.offset == expected.offset);
  REQUIRE(got.scale.size() == expected.scale.size());
  REQUIRE(got.min.size() == expected.min.size());
  REQUIRE(got.max.size() == expected.max.size());
  for (std::size_t c = 0; c < got.scale.size(); ++c) {
    const double width = expected.max[c] - expected.min[c];
    CHECK(std::abs(got.scale[c] - expected.scale[c]) <= golden::kScale * expected.scale[c]);
    CHECK(std::abs(got.min[c] - expected.min[c]) <= golden::kScale * width);
    CHECK(std::abs(got.max[c] - expected.max[c]) <= golden::kScale * width);
    report.add(4);
  }
}

void check_entries(const std::vector<io::TensorEncoding>& got,
                   const std::vector<io::TensorEncoding>& expected, golden::Report& report) {
  CHECK(got.size() == expected.size());
  for (const io::TensorEncoding& entry : expected) {
    CAPTURE(entry.name);
    const auto found = std::ranges::find(got, entry.name, &io::TensorEncoding::name);
    REQUIRE(found != got.end());
    check_entry(*found, entry, report);
  }
}

std::map<std::string, io::TensorEncoding> by_module(const io::ModuleEncodingsFile& file) {
  std::map<std::string, io::TensorEncoding> entries;
  for (const io::ModuleEncoding& each : file.activations)
    entries[each.module + (each.side == io::ModuleEncoding::Side::input ? " in " : " out ") +
            std::to_string(each.index)] = each.encoding;
  return entries;
}

void check_export(const golden::SimRun& run, const std::string& version,
                  const golden::Tensors& data, golden::Report& report) {
  CAPTURE(run.name);
  CAPTURE(version);
  const std::string folder = folder_of(run, version);
  QuantizationSimModel sim = golden::make_sim(run);
  golden::calibrate(sim, run, data);
  const TemporaryFolder out;
  sim.export_to(out.path(), "net", {.encodings_version = version});

  const auto modules = io::parse_module_encodings(text_of(out.path("net_torch.encodings")), "ours");
  const auto expected =
      io::parse_module_encodings(golden::bytes(folder + "/net_torch.encodings"), folder);
  CHECK(modules.version == expected.version);
  CHECK(modules.quantizer_args == expected.quantizer_args);
  CHECK(modules.excluded_layers == expected.excluded_layers);
  check_entries(modules.parameters, expected.parameters, report);
  const auto got_modules = by_module(modules), expected_modules = by_module(expected);
  CHECK(got_modules.size() == expected_modules.size());
  for (const auto& [name, entry] : expected_modules) {
    CAPTURE(name);
    REQUIRE(got_modules.contains(name));
    check_entry(got_modules.at(name), entry, report);
  }

  // Activations have other tensor names in AIMET's ONNX graph; parameters have the same ones.
  const auto tensors = io::parse_encodings(text_of(out.path("net.encodings")), "ours");
  const auto expected_tensors =
      io::parse_encodings(golden::bytes(folder + "/net.encodings"), folder);
  CHECK(tensors.version == expected_tensors.version);
  CHECK(tensors.quantizer_args == expected_tensors.quantizer_args);
  CHECK(tensors.activations.size() == expected_tensors.activations.size());
  check_entries(tensors.parameters, expected_tensors.parameters, report);
}

/// Compares two texts as JSON; every number must be the same double.
void check_same_json(const std::string& got, const std::string& expected, golden::Report& report) {
  const auto got_json = nlohmann::json::parse(got), want = nlohmann::json::parse(expected);
  CHECK(got_json == want);
  report.add(want.flatten().size());
}

void check_reload(const golden::SimRun& run, const std::string& version, golden::Report& report) {
  const std::string folder = folder_of(run, version);
  CAPTURE(folder);
  const std::string text = golden::bytes(folder + "/net_torch.encodings");
  QuantizationSimModel sim = golden::make_sim(run);
  const LoadedEncodings loaded = sim.load_encodings(text, {.require_all = true});
  CHECK(loaded.loaded.size() == run.quantizers.size());
  CHECK(loaded.skipped.empty());
  const TemporaryFolder out;
  const std::vector<std::string> files =
      sim.export_to(out.path(), "net", {.encodings_version = version, .export_model = false});
  REQUIRE(files.size() == 2);
  check_same_json(text_of(files[1]), text, report);

  // The file by tensor: activations have other names in AIMET's ONNX graph, but the same numbers.
  const auto got = io::parse_encodings(text_of(files[0]), "ours");
  const auto expected = io::parse_encodings(golden::bytes(folder + "/net.encodings"), folder);
  CHECK(got.excluded_layers == expected.excluded_layers);
  CHECK(got.quantizer_args == expected.quantizer_args);
  CHECK(got.parameters.size() == expected.parameters.size());
  CHECK(got.activations.size() == expected.activations.size());
  for (const io::TensorEncoding& entry : expected.parameters)
    CHECK(std::ranges::any_of(got.parameters, [&](io::TensorEncoding each) {
      each.axis.reset();  // not in these versions
      each.is_signed = false;
      return each == entry;
    }));
  for (io::TensorEncoding entry : expected.activations)
    CHECK(std::ranges::any_of(got.activations, [&](const io::TensorEncoding& each) {
      entry.name = each.name;
      return each == entry;
    }));
}

/// The logits on x3 with the encodings that AIMET's save_encodings_to_json wrote.
std::vector<double> logits_with_file(const golden::SimRun& run, const golden::Tensors& data,
                                     const golden::Way& way) {
  QuantizationSimModel sim = golden::make_sim(run, way.noise);
  load_encodings_to_sim(sim, golden::bytes("network/sim_" + run.name + "_encodings.json"));
  Executor executor(sim.graph(), way.evaluation);
  return golden::doubles(executor.forward(golden::Batches(data, way.noise).images("x3")).data());
}

golden::Distances logits_distances(const golden::SimRun& run, const std::vector<double>& got,
                                   const std::vector<double>& expected) {
  const double step = run.quantizers.at("fc.output_quantizers.0").at("scale").at(0);
  const golden::Difference d = golden::difference(got, expected);
  return {{"logits, mean", d.mean / step}, {"logits, largest", d.largest / step}};
}

}  // namespace

TEST_SUITE("golden network: sim files") {
  TEST_CASE("AIMET's encodings files load without loss: written again they are the same JSON") {
    golden::Report report("golden network: AIMET's files loaded and written");
    std::size_t files = 0;
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (run.scheme != "post_training_tf" || run.param_bw != 8 || run.output_bw != 8) continue;
      for (const char* version : {"0.6.1", "1.0.0"}) {
        check_reload(run, version, report);
        ++files;
      }
    }
    CHECK(files == golden::files("export", "").size());
  }

  TEST_CASE("what AIMET's save_encodings_to_json wrote loads without loss, in every run") {
    golden::Report report("golden network: AIMET's json loaded and written");
    for (golden::SimRun run : golden::sim_runs()) {
      CAPTURE(run.name);
      const std::string text = golden::bytes("network/sim_" + run.name + "_encodings.json");
      run.param_bw = 8;  // the file says which bitwidth
      QuantizationSimModel sim = golden::make_sim(run);
      CHECK(load_encodings_to_sim(sim, text).missing.empty());
      const TemporaryFolder out;
      check_same_json(text_of(sim.save_encodings_to_json(out.path(), "net")), text, report);
    }
  }

  TEST_CASE("a network with AIMET's encodings loaded answers as AIMET's did") {
    golden::Report report("golden network: logits with AIMET's json loaded");
    golden::Floors floors;
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (run.learns()) continue;  // its file is from after the training
      CAPTURE(run.name);
      const golden::Tensors results = golden::tensors("network/sim_" + run.name + ".safetensors");
      const std::vector<double> direct = logits_with_file(run, data, {});
      std::vector<golden::Distances> spread;
      for (const golden::Way& way : golden::right_ways(24))
        spread.push_back(logits_distances(run, logits_with_file(run, data, way), direct));
      const golden::Distances bounds = golden::bounds(run, spread);
      const std::vector<double> aimet = golden::doubles(results.floats("eval_logits"));
      for (const auto& [what, distance] : logits_distances(run, aimet, direct))
        floors.check(what, distance, bounds.at(what));
      report.add(aimet.size());
    }
    floors.note(report);
  }
}

TEST_SUITE("golden network: sim export") {
  TEST_CASE("exported encodings are AIMET's, in both versions") {
    golden::Report report("golden network: sim export");
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    std::set<std::string> folders;
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (run.scheme != "post_training_tf" || run.param_bw != 8 || run.output_bw != 8) continue;
      for (const char* version : {"0.6.1", "1.0.0"}) {
        check_export(run, version, data, report);
        folders.insert(folder_of(run, version).substr(std::string("export/").size()));
      }
    }
    for (const std::string& folder : golden::files("export", ""))
      CHECK_MESSAGE(folders.contains(folder), folder << " belongs to no run");
  }
}
