// Exported encodings against the files that AIMET itself wrote.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden_sim.h"
#include "rung/io/encodings.h"
#include "temporary_folder.h"

using namespace rung;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.is_open(), path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
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
  const std::string folder =
      std::string("export/export_") + (run.folded ? "folded_" : "bn_") + run.config + "_" + version;
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

}  // namespace

TEST_SUITE("golden network: sim export") {
  TEST_CASE("exported encodings are AIMET's, in both versions") {
    golden::Report report("golden network: sim export");
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    std::set<std::string> folders;
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (run.scheme != "post_training_tf" || run.param_bw != 8 || run.output_bw != 8) continue;
      for (const char* version : {"0.6.1", "1.0.0"}) {
        check_export(run, version, data, report);
        folders.insert(std::string("export_") + (run.folded ? "folded_" : "bn_") + run.config +
                       "_" + version);
      }
    }
    for (const std::string& folder : golden::files("export", ""))
      CHECK_MESSAGE(folders.contains(folder), folder << " belongs to no run");
  }
}
