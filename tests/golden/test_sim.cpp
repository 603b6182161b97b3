// The quantization simulation against AIMET's own runs of a small ResNet: where quantizers stand,
// and their encodings after calibration.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_sim.h"
#include "rung/io/encodings.h"

using namespace rung;
using golden::SimRun;

namespace {

std::vector<std::int64_t> shape_of(const QuantizerHandle& quantizer) {
  const Quantizer& settings = quantizer.op().quantizer();
  if (!settings.axis()) return {};
  std::vector<std::int64_t> shape(static_cast<std::size_t>(quantizer.source().shape().rank()), 1);
  shape[static_cast<std::size_t>(*settings.axis())] = settings.channels();
  return shape;
}

void check_placement(const SimRun& run, QuantizationSimModel& sim, golden::Report& report) {
  CAPTURE(run.name);
  std::set<std::string> placed;
  for (const QuantizerHandle& each : sim.quantizers()) {
    const std::string name = aimet_name(each);
    CHECK_MESSAGE(placed.insert(name).second, name << " is placed twice");
    if (!run.quantizers.contains(name)) {
      FAIL_CHECK(name << " is not one of AIMET's");
      continue;
    }
    const auto& expected = run.quantizers.at(name);
    CAPTURE(name);
    CHECK(each.enabled());
    CHECK(each.bitwidth() == expected.at("bitwidth").get<int>());
    CHECK((each.symmetry() == Symmetry::symmetric) == expected.at("symmetric").get<bool>());
    CHECK(shape_of(each) == expected.at("shape").get<std::vector<std::int64_t>>());
    report.add(4);
  }
  for (const auto& [name, settings] : run.quantizers.items())
    CHECK_MESSAGE(placed.contains(name), name << " is missing");
}

void check_encoding(const SimRun& run, const QuantizerHandle& quantizer, golden::Report& report) {
  const nlohmann::json& expected = run.quantizers.at(aimet_name(quantizer));
  const double tolerance = run.version.scale;
  CAPTURE(aimet_name(quantizer));
  const Encoding got = quantizer.encoding();
  REQUIRE(got.scale.size() == expected.at("scale").size());
  REQUIRE(!got.scale.empty());
  for (std::size_t c = 0; c < got.scale.size(); ++c) {
    CAPTURE(c);
    const double scale = expected.at("scale")[c];
    CHECK(std::abs(got.scale[c] - scale) <= tolerance * scale);
    CHECK(static_cast<double>(got.offset[c]) == expected.at("offset")[c].get<double>());
    const Range range = got.effective_range(static_cast<std::int64_t>(c));
    const double width = scale * static_cast<double>(got.grid.steps());
    CHECK(std::abs(range.min - expected.at("min")[c].get<double>()) <= tolerance * width);
    CHECK(std::abs(range.max - expected.at("max")[c].get<double>()) <= tolerance * width);
    report.add(4);
  }
}

/// Compares with the file that AIMET's save_encodings_to_json wrote.
void check_file(const SimRun& run, QuantizationSimModel& sim, golden::Report& report) {
  const std::string file = run.file("_encodings.json");
  const double tolerance = run.version.scale;
  const io::ModuleEncodingsFile expected = io::parse_module_encodings(golden::bytes(file), file);
  CHECK(expected.activations.size() + expected.parameters.size() == run.quantizers.size());
  const auto check = [&](const std::string& name, const io::TensorEncoding& entry) {
    CAPTURE(name);
    const Encoding got = sim.quantizer(name).encoding();
    REQUIRE(entry.scale.size() == got.scale.size());
    CHECK(entry.bitwidth == got.bitwidth);
    CHECK(entry.is_symmetric == (got.symmetry == Symmetry::symmetric));
    for (std::size_t c = 0; c < got.scale.size(); ++c) {
      CHECK(std::abs(got.scale[c] - entry.scale[c]) <= tolerance * entry.scale[c]);
      CHECK(got.file_offset(static_cast<std::int64_t>(c)) == entry.offset[c]);
      report.add(2);
    }
  };
  for (const io::TensorEncoding& entry : expected.parameters) check(entry.name, entry);
  for (const io::ModuleEncoding& entry : expected.activations) {
    const bool is_input = entry.side == io::ModuleEncoding::Side::input;
    check(entry.module + (is_input ? ".input_quantizers." : ".output_quantizers.") +
              std::to_string(entry.index),
          entry.encoding);
  }
}

void check_calibrated(const SimRun& run, const golden::Tensors& data, golden::Report& report) {
  CAPTURE(run.name);
  QuantizationSimModel sim = golden::make_sim(run);
  golden::calibrate(sim, run, data);
  for (const auto& [name, expected] : run.quantizers.items())
    check_encoding(run, sim.quantizer(name), report);
  if (!run.writes_trained()) check_file(run, sim, report);
}

void check_placements(const golden::Version& version, const std::string& suite) {
  golden::Report report(suite);
  for (const SimRun& run : golden::sim_runs(version)) {
    QuantizationSimModel sim = golden::make_sim(run);
    sim.graph().check();
    check_placement(run, sim, report);
  }
}

void check_calibrations(const golden::Version& version, const std::string& suite) {
  golden::Report report(suite);
  const golden::Tensors data = golden::network_data(version);
  for (const SimRun& run : golden::sim_runs(version)) check_calibrated(run, data, report);
}

}  // namespace

TEST_SUITE("golden network: sim placement") {
  TEST_CASE("the quantizers are AIMET's, one for one, in every run") {
    check_placements(golden::kOctober2024, "golden network: sim placement");
  }
  TEST_CASE("those of version 2.42 are, too") {
    check_placements(golden::kVersion242, "golden network of 2.42: sim placement");
  }
}

TEST_SUITE("golden network: sim calibration") {
  TEST_CASE("encodings after calibration are AIMET's in every run") {
    check_calibrations(golden::kOctober2024, "golden network: sim calibration");
  }
  TEST_CASE("those of version 2.42 are, too") {
    check_calibrations(golden::kVersion242, "golden network of 2.42: sim calibration");
  }
}
