// Modules that AIMET's prepare_model names: matched by their place, when only names differ.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/text_file.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using nlohmann::json;

namespace {

/// x -> block.(relu1 -> add1 -> conv -> relu2 -> add2) -> pool -> fc: what torch writes as a ReLU
/// that is called twice, two sums and a function that pools.
Graph block_net() {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  {
    const Scope scope(graph, "block");
    Var y = nn::relu(x, "relu1");
    y = nn::add(x, y, "add1");
    Var z = nn::relu(nn::conv2d(y, {.out_channels = 2, .kernel = 1}, "conv"), "relu2");
    x = nn::add(y, z, "add2");
  }
  x = nn::flatten(nn::global_avg_pool(x, "pool"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc")});
  Rng rng(5);
  for (Parameter* parameter : graph.parameters())
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal() * 0.3);
  return graph;
}

QuantizationSimModel calibrated_block() {
  QuantizationSimModel sim(block_net());
  calibrate_small_net(sim);
  return sim;
}

/// What prepare_model calls the modules of block_net(), by our name.
const std::map<std::string, std::string> kTheirs = {{"block.relu1", "block.relu"},
                                                    {"block.relu2", "block.module_relu_1"},
                                                    {"block.add1", "block.module_add"},
                                                    {"block.add2", "block.module_add_1"},
                                                    {"pool", "module_adaptive_avg_pool2d"}};

/// The sim's file by module name, with modules renamed.
std::string file_with(QuantizationSimModel& sim, const std::map<std::string, std::string>& names) {
  json file = json::parse(exported(sim, "1.0.0", /*by_module=*/true));
  json activations = json::object();
  for (const auto& [module, entry] : file.at("activation_encodings").items()) {
    const auto found = names.find(module);
    activations[found == names.end() ? module : found->second] = entry;
  }
  file["activation_encodings"] = activations;
  return file.dump();
}

}  // namespace

TEST_SUITE("quantsim: names of modules") {
  TEST_CASE("modules that only differ in name are matched in the order of their calls") {
    QuantizationSimModel sim = calibrated_block();
    QuantizationSimModel other(block_net());
    const LoadedEncodings done =
        other.load_encodings(file_with(sim, kTheirs), {.require_all = true});
    for (const auto& [ours, theirs] : kTheirs) CHECK(done.renamed.at(theirs) == ours);
    CHECK(done.renamed.size() == kTheirs.size());
    CHECK(done.skipped.empty());
    CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));
  }

  TEST_CASE("call 10 comes after call 2") {
    QuantizationSimModel sim = calibrated_block();
    QuantizationSimModel other(block_net());
    other.load_encodings(file_with(
        sim, {{"block.add1", "block.module_add_2"}, {"block.add2", "block.module_add_10"}}));
    CHECK(other.quantizer("block.add1").encoding().scale ==
          sim.quantizer("block.add1").encoding().scale);
    CHECK(other.quantizer("block.add2").encoding().scale ==
          sim.quantizer("block.add2").encoding().scale);
  }

  TEST_CASE("another number, kind or parent is not matched") {
    QuantizationSimModel sim = calibrated_block();
    const auto refuses = [&](std::map<std::string, std::string> names, const char* name) {
      CAPTURE(name);
      QuantizationSimModel other(block_net());
      const std::string before = fingerprint(other);
      const std::string text = file_with(sim, names);
      CHECK_THROWS_WITH_AS(other.load_encodings(text), doctest::Contains(name), Error);
      CHECK(fingerprint(other) == before);
      CHECK(other.load_encodings(text, {.strict = false}).renamed.empty());
    };
    refuses({{"block.add2", "block.module_mul"}}, "block.module_mul.output");
    refuses({{"block.add2", "module_add"}}, "module_add.output");
    refuses({{"block.add2", "blok.module_add"}}, "blok.module_add.output");
    refuses({{"block.add1", "block.add_1"}, {"block.add2", "block.module_add_1"}}, "block.add_1");

    json file = json::parse(file_with(sim, kTheirs));  // one call more than there are nodes
    json& activations = file["activation_encodings"];
    activations["block.module_add_2"] = activations["block.module_add_1"];
    QuantizationSimModel other(block_net());
    CHECK_THROWS_WITH_AS(other.load_encodings(file.dump()),
                         doctest::Contains("module_add_2.output"), Error);
  }

  TEST_CASE("a file can be written with the names of another") {
    QuantizationSimModel sim = calibrated_block();
    const TemporaryFolder folder;
    const std::string theirs = folder.path() + "/theirs.json";
    io::write_text_file(theirs, file_with(sim, kTheirs));
    const std::vector<std::string> files =
        sim.export_to(folder.path(), "net", {.export_model = false, .module_names_of = theirs});
    const json written = json::parse(io::read_text_file(files.at(1), 1 << 20));
    CHECK(written == json::parse(file_with(sim, kTheirs)));

    CHECK_THROWS_WITH_AS(sim.export_to(folder.path(), "net", {.module_names_of = files.at(0)}),
                         doctest::Contains("is keyed by tensor"), Error);
  }
}
