// Encodings files that AIMET 2.42 wrote of one network: loaded strictly, written again.

#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/aimet_files.h"
#include "golden/golden_model.h"
#include "rung/core/error.h"
#include "rung/ptq/ptq.h"
#include "rung/version.h"

using namespace rung;

namespace {

struct Folder {
  std::string name;
  std::string path() const { return "export/" + name + "/"; }
  bool per_channel() const { return name.ends_with("per_channel"); }
  bool folded() const { return name.starts_with("folded"); }
  QuantSimOptions options() const {
    return {.quant_scheme = QuantScheme::post_training_tf,
            .config_file = per_channel() ? "aimet_2_42" : "aimet_2_42_per_tensor"};
  }
  std::string text(const std::string& file) const {
    return golden::bytes(golden::of_2_42(path() + file));
  }
};

const std::vector<Folder> kFolders = {{"bn_default_config"},
                                      {"bn_default_config_per_channel"},
                                      {"folded_default_config"},
                                      {"folded_default_config_per_channel"}};
const std::vector<std::string> kVersions = {"0.6.1", "1.0.0", "2.0.0", "2.1.0"};

/// The entries that no quantizer has: of biases, and behind ops that only move numbers.
std::set<std::string> expected_skipped(const std::set<std::string>& names) {
  std::set<std::string> skipped;
  for (const std::string& name : names)
    if (name.ends_with(".bias") || name.ends_with("MaxPool_output_0") ||
        name.ends_with("Flatten_output_0"))
      skipped.insert(name);
  return skipped;
}

void check_file(const Folder& folder, const std::string& version, golden::Report& report) {
  CAPTURE(folder.name);
  CAPTURE(version);
  const std::string text = folder.text("net_" + version + ".encodings");
  const nlohmann::json file = nlohmann::json::parse(text);
  const auto expected = golden::entries_of(file);
  QuantizationSimModel sim(golden::onnx_network(folder.path() + "net.onnx"), folder.options());

  const LoadedEncodings loaded = sim.load_encodings(text, {.require_all = true});
  CHECK(loaded.loaded.size() == sim.quantizers().size());
  CHECK(loaded.loaded.size() + loaded.skipped.size() == expected.size());
  CHECK(std::set(loaded.skipped.begin(), loaded.skipped.end()) ==
        expected_skipped(golden::names_of(expected)));

  const nlohmann::json written =
      golden::exported(sim, {.encodings_version = version, .derived = DerivedEntries::all});
  const auto got = golden::entries_of(written);
  CHECK(golden::names_of(got) == golden::names_of(expected));
  const std::set<std::string> mistaken = golden::mistaken_biases(sim.graph(), file);
  const bool has_biases = version.starts_with("2") && folder.folded();
  CHECK(mistaken ==
        (has_biases ? std::set<std::string>{"layer1.0.conv1.bias"} : std::set<std::string>{}));
  for (const auto& [name, entry] : expected) {
    CAPTURE(name);
    if (mistaken.contains(name) || !got.contains(name)) continue;
    golden::check_same(got.at(name), entry, report);
  }
  for (const char* key : {"version", "quantizer_args", "excluded_layers"}) {
    REQUIRE(written.contains(key) == file.contains(key));
    if (file.contains(key)) golden::check_same(written.at(key), file.at(key), report);
  }
  CHECK(file.at("producer").at("package") == "aimet-torch");
  CHECK(written.at("producer") == nlohmann::json{{"package", "rung"}, {"version", RUNG_VERSION}});
}

}  // namespace

TEST_SUITE("golden 2.42: encodings files") {
  TEST_CASE("every golden export is listed") {
    for (const std::string& name : golden::files(golden::of_2_42("export"), ""))
      if (!name.starts_with("variants"))
        CHECK_MESSAGE(std::ranges::count(kFolders, name, &Folder::name) == 1, name);
  }

  TEST_CASE("AIMET's files of all versions load strictly and are written with the same content") {
    golden::Report report("golden 2.42: encodings by tensor name");
    for (const Folder& folder : kFolders)
      for (const std::string& version : kVersions) check_file(folder, version, report);
  }

  TEST_CASE("a bias behind a MaxPool has the scale that integers are added with") {
    const Folder folder{"folded_default_config_per_channel"};
    QuantizationSimModel sim(golden::onnx_network(folder.path() + "net.onnx"), folder.options());
    sim.load_encodings(folder.text("net_2.0.0.encodings"));
    const auto entries = golden::entries_of(golden::exported(sim, {.encodings_version = "2.0.0"}));
    const auto scale_of = [&](const std::string& name) { return entries.at(name).at("y_scale"); };
    const double x = scale_of("/relu/Relu_output_0");
    for (std::size_t c = 0; c < scale_of("layer1.0.conv1.weight").size(); ++c) {
      const double product = x * scale_of("layer1.0.conv1.weight").at(c).get<double>();
      CHECK(scale_of("layer1.0.conv1.bias").at(c).get<double>() ==
            doctest::Approx(product).epsilon(golden::kFileScale));
    }
  }

  TEST_CASE("files by module name load strictly and are written with the same content") {
    golden::Report report("golden 2.42: encodings by module name");
    for (const Folder& folder : kFolders) {
      CAPTURE(folder.name);
      Graph graph = golden::network(golden::of_2_42("network/trained.safetensors"));
      if (folder.folded()) ptq::fold_all_batch_norms(graph);
      QuantizationSimModel sim(graph, folder.options());
      const std::string text = folder.text("modules.json");
      const LoadedEncodings loaded = sim.load_encodings(text, {.require_all = true});
      CHECK(loaded.skipped.empty());
      const TemporaryFolder out;
      std::ifstream written(sim.save_encodings_to_json(out.path(), "net"));
      golden::check_same(nlohmann::json::parse(written), nlohmann::json::parse(text), report);
    }
  }

  TEST_CASE("an entry that does not follow from the others is refused by name") {
    const Folder folder{"folded_default_config"};
    QuantizationSimModel sim(golden::onnx_network(folder.path() + "net.onnx"), folder.options());
    nlohmann::json file = nlohmann::json::parse(folder.text("net_2.0.0.encodings"));
    for (nlohmann::json& entry : file.at("encodings"))
      if (entry.at("name") == "/maxpool/MaxPool_output_0") entry["y_scale"] = 0.5;
    CHECK_THROWS_WITH_AS(
        sim.load_encodings(file.dump()),
        doctest::Contains(
            "1 entries belong to no enabled quantizer: \"/maxpool/MaxPool_output_0\""),
        Error);
    CHECK(sim.load_encodings(file.dump(), {.strict = false}).missing.empty());
  }

  TEST_CASE("what the file says behind a MaxPool goes to the quantizer before it") {
    const Folder folder{"folded_default_config"};
    QuantizationSimModel sim(golden::onnx_network(folder.path() + "net.onnx"), folder.options());
    nlohmann::json file = nlohmann::json::parse(folder.text("net_2.0.0.encodings"));
    nlohmann::json& list = file.at("encodings");
    list.erase(std::ranges::find_if(
        list, [](const auto& entry) { return entry.at("name") == "/relu/Relu_output_0"; }));
    const LoadedEncodings loaded = sim.load_encodings(file.dump(), {.require_all = true});
    CHECK(loaded.loaded.size() == sim.quantizers().size());
  }
}
