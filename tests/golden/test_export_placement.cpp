// Encodings files that AIMET 2.42 wrote of its ten nets for placement: what has a quantizer there,
// what follows from one.

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/aimet_files.h"
#include "golden/golden_model.h"

using namespace rung;

namespace {

const std::string kPlacement = "placement/";

/// Nets in which AIMET exports parameters under other names than the ONNX file has.
const std::set<std::string> kRenamed = {"Activations", "Attention"};

struct Config {
  const char *aimet, *ours;
};
constexpr Config kConfigs[] = {{"default_config", "aimet_2_42_per_tensor"}, {"htp_v73", "htp"}};

bool is_constant_of_an_op(const std::string& name) {
  return name.ends_with(".min") || name.ends_with(".max") || name.ends_with(".value") ||
         name.find("/Constant_") != name.npos;
}

/// Returns the numbers of constants: their names are not kept, and each program has its own.
std::multiset<std::string> constants_only(const std::map<std::string, nlohmann::json>& entries,
                                          const std::map<std::string, nlohmann::json>& others) {
  std::multiset<std::string> numbers;
  for (auto [name, entry] : entries) {
    if (others.contains(name) || !is_constant_of_an_op(name)) continue;
    entry.erase("name");
    numbers.insert(entry.dump());
  }
  return numbers;
}

/// Sets every quantizer to AIMET's encoding: from the file, or calibrated as there.
QuantizationSimModel make_sim(const std::string& net, const Config& config,
                              const std::string& text) {
  QuantizationSimModel sim(
      golden::onnx_network(kPlacement + net + ".onnx"),
      {.quant_scheme = QuantScheme::post_training_tf, .config_file = config.ours});
  const golden::Tensors data = golden::tensors(golden::of_2_42(kPlacement + net + ".safetensors"));
  sim.compute_encodings([&](Executor& executor) {
    for (const char* batch : {"x0", "x1"}) executor.forward(golden::tensor(data.at(batch)));
  });
  const bool is_renamed = kRenamed.contains(net);
  sim.load_encodings(text, {.strict = !is_renamed, .require_all = !is_renamed});
  return sim;
}

void check_net(const std::string& net, const Config& config, golden::Report& report) {
  CAPTURE(net);
  CAPTURE(std::string(config.aimet));
  const std::string text =
      golden::bytes(golden::of_2_42(kPlacement + net + "_" + config.aimet + "_2.0.0.encodings"));
  const nlohmann::json file = nlohmann::json::parse(text);
  const auto expected = golden::entries_of(file);
  QuantizationSimModel sim = make_sim(net, config, text);
  const auto got = golden::entries_of(
      golden::exported(sim, {.encodings_version = "2.0.0", .derived = DerivedEntries::all}));

  const std::set<std::string> mistaken = golden::mistaken_biases(sim.graph(), file);
  for (const auto& [name, entry] : expected) {
    CAPTURE(name);
    if (mistaken.contains(name)) continue;
    const bool is_known = sim.graph().find_value(name) != nullptr;
    CHECK(got.contains(name) == is_known);
    if (got.contains(name)) golden::check_same(got.at(name), entry, report);
    // Constants became attributes; parameters of these nets have other names.
    CHECK((is_known || is_constant_of_an_op(name) || kRenamed.contains(net)));
  }
  for (const auto& [name, entry] : got)
    CHECK_MESSAGE((expected.contains(name) || is_constant_of_an_op(name) || kRenamed.contains(net)),
                  name);
  const auto ours = constants_only(got, expected), theirs = constants_only(expected, got);
  CHECK(std::ranges::includes(ours, theirs));
  // A Split comes in as Pads that cut, each of which has its constant.
  if (net != "Split") CHECK(ours.size() == theirs.size());
}

}  // namespace

TEST_SUITE("golden 2.42: encodings files of placement") {
  TEST_CASE("files of all nets load and are written with the same content, derived entries too") {
    golden::Report report("golden 2.42: encodings of placement");
    std::size_t files = 0;
    for (const std::string& name : golden::files(golden::of_2_42("placement"), "")) {
      if (!name.ends_with(".onnx")) continue;
      for (const Config& config : kConfigs) {
        check_net(name.substr(0, name.size() - 5), config, report);
        ++files;
      }
    }
    for (const std::string& name : golden::files(golden::of_2_42("placement"), ""))
      files -= name.ends_with(".encodings");
    CHECK(files == 0);
  }
}
