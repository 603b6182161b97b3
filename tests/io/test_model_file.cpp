#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "golden/golden.h"
#include "io/model/attributes.h"
#include "io/model/graph_json.h"
#include "rung/io/model_file.h"
#include "rung/io/safetensors.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quantsim/quantsim.h"
#include "support/gradcheck.h"
#include "support/io_helpers.h"
#include "support/io_models.h"

using namespace rung;
using namespace rung::io;
using iotest::TemporaryFolder;
using Json = nlohmann::json;

namespace {

void check_same(const Graph& a, const Graph& b) {
  CHECK(a.to_string() == b.to_string());
  REQUIRE(a.parameters().size() == b.parameters().size());
  for (std::size_t i = 0; i < a.parameters().size(); ++i) {
    const Parameter &p = *a.parameters()[i], &q = *b.parameters()[i];
    CHECK(p.name() == q.name());
    CHECK(p.role() == q.role());
    CHECK(p.requires_grad() == q.requires_grad());
    CHECK(p.shape() == q.shape());
    CHECK(std::ranges::equal(p.value().data(), q.value().data()));
  }
  REQUIRE(a.nodes().size() == b.nodes().size());
  for (std::size_t i = 0; i < a.nodes().size(); ++i) {
    Node &m = *a.nodes()[i], &n = *b.nodes()[i];
    CHECK(m.name() == n.name());
    CHECK(m.type() == n.type());
    CHECK(attributes_to_json(m.op()) == attributes_to_json(n.op()));
    const auto name = [](const Value* value) { return value->name(); };
    CHECK(std::ranges::equal(m.inputs(), n.inputs(), {}, name, name));
    CHECK(std::ranges::equal(m.outputs(), n.outputs(), {}, name, name));
  }
  const auto name = [](const Value* value) { return value->name(); };
  CHECK(std::ranges::equal(a.inputs(), b.inputs(), {}, name, name));
  CHECK(std::ranges::equal(a.outputs(), b.outputs(), {}, name, name));
}

/// Saves the small network after a change of its metadata and returns what load_model says,
/// without the path.
template <typename Change>
std::string message_after(const Change& change) {
  const TemporaryFolder folder;
  const auto path = folder / "m.rung";
  save_model(path, iotest::small_network());
  const SafetensorsFile file(path);
  SafetensorsContent content;
  for (const TensorInfo& info : file.tensors())
    content.tensors.emplace_back(info.name, file.tensor(info.name));
  content.metadata = file.metadata();
  change(content);
  save_safetensors(path, content);
  const std::string message = message_of([&] { load_model(path); });
  if (!message.starts_with(path.string() + ": ")) return "no path: " + message;
  return message.substr(path.string().size() + 2);
}

/// The same for a change of the graph's description.
template <typename Change>
std::string message_after_graph(const Change& change) {
  return message_after([&](SafetensorsContent& content) {
    Json graph = Json::parse(content.metadata.at("rung.graph"));
    change(graph);
    content.metadata["rung.graph"] = graph.dump();
  });
}

}  // namespace

TEST_SUITE("io model file") {
  TEST_CASE("graph, names, values, sections and tensors survive a round trip") {
    const TemporaryFolder folder;
    const Graph graph = iotest::every_op();
    const ModelExtras extras{
        .sections = {{"quantsim", R"({"a": [1, 2]})"}, {"notes", "not JSON \"at\" all\n"}},
        .tensors = {{"sgd/conv.weight", Tensor({2}, {1, 2})}, {"conv.weight", Tensor::scalar(3)}}};
    save_model(folder / "m.rung", graph, extras);
    const ModelFile model = load_model(folder / "m.rung");
    check_same(graph, model.graph);
    CHECK(model.sections == extras.sections);
    REQUIRE(model.tensors.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(model.tensors[i].first == extras.tensors[i].first);
      CHECK(model.tensors[i].second.shape() == extras.tensors[i].second.shape());
      CHECK(std::ranges::equal(model.tensors[i].second.data(), extras.tensors[i].second.data()));
    }

    save_model(folder / "again.rung", model.graph,
               {.sections = model.sections, .tensors = model.tensors});
    CHECK(iotest::read_bytes(folder / "m.rung") == iotest::read_bytes(folder / "again.rung"));
  }

  TEST_CASE("a node put between others keeps its place") {
    const TemporaryFolder folder;
    Graph graph = iotest::small_network();
    graph.insert_after(graph.value("conv1"), make_op("Sigmoid"), {}, "conv1.extra");
    graph.add_parameter("late", Tensor::scalar(1), Role::encoding);
    save_model(folder / "m.rung", graph);
    check_same(graph, load_model(folder / "m.rung").graph);
  }

  TEST_CASE("quantizers keep their settings and ranges") {
    const TemporaryFolder folder;
    Graph graph = iotest::small_network();
    auto made = std::make_unique<QuantizeDequantize>();
    made->set_frozen(true);
    const std::vector<Value*> extra =
        add_quantizer_parameters(graph, made->quantizer(), "relu.qdq");
    Node& node = graph.insert_after(graph.value("relu"), std::move(made), extra, "relu.qdq");
    const Range range{-1, 3};
    node.as<QuantizeDequantize>()->set_ranges(std::span(&range, 1), quantizer_parameters(node));
    save_model(folder / "m.rung", graph);
    const ModelFile model = load_model(folder / "m.rung");
    check_same(graph, model.graph);
    Node& read = model.graph.node("relu.qdq");
    CHECK(read.as<QuantizeDequantize>()->frozen());
    CHECK(read.as<QuantizeDequantize>()->initialized());
    CHECK(model.graph.parameters(Role::encoding).size() == 2);
  }

  TEST_CASE("any safetensors reader finds the parameters under their names") {
    const TemporaryFolder folder;
    const Graph graph = iotest::small_network();
    save_model(folder / "m.rung", graph, {.tensors = {{"step", Tensor::scalar(5)}}});
    const SafetensorsFile file(folder / "m.rung");
    CHECK(file.tensors().size() == graph.parameters().size() + 1);
    CHECK(file.info("fc.weight").shape == Shape{5, 4});
    CHECK(file.tensor("extra:step").item() == 5);
    CHECK(file.metadata().at("format") == "rung");
    CHECK(file.metadata().at("rung.version") == "2");
  }

  TEST_CASE("floats that JSON cannot express survive") {
    auto op = make_op("LeakyRelu");
    const std::string text = R"({"alpha":"-inf"})";
    attributes_from_json(*op, JsonPlace(Json::parse(text), "op"));
    CHECK(attributes_to_json(*op).dump() == text);
    attributes_from_json(*op, JsonPlace(Json::parse(R"({"alpha":"nan"})"), "op"));
    CHECK(attributes_to_json(*op).dump() == R"({"alpha":"nan"})");
    CHECK(message_of([&] {
            attributes_from_json(*op, JsonPlace(Json::parse(R"({"alpha":1e300})"), "op"));
          }) == "op: alpha does not fit into a float");
  }

  // Files of every version stay in tests/golden/model_files forever. Each holds a small quantized
  // network, an input and what the program of that time computed from it.
  TEST_CASE("a file of every older version loads and computes what it did") {
    for (const char* name : {"model_files/version1.rung"}) {
      CAPTURE(name);
      ModelFile file = load_model(golden::path(name));
      CHECK(file.sections.at("task") == R"({"note": "kept"})");
      REQUIRE(file.tensors.size() == 2);
      const Tensor input = file.tensors[0].second, output = file.tensors[1].second;
      QuantizationSimModel sim = load_checkpoint(std::move(file), name);
      CHECK(test::difference(sim.executor().forward(input), output) < 1e-6);
    }
  }

  TEST_CASE("a changed number, name or section is noticed by the checksum") {
    const auto contains_checksum = [](const std::string& message) {
      return message.find("the file is damaged, or another program has changed it") !=
             std::string::npos;
    };
    CHECK(contains_checksum(message_after([](auto& content) {
      Tensor changed = content.tensors[0].second.clone();
      changed.data()[0] += 1e-3f;
      content.tensors[0].second = changed;
    })));
    CHECK(contains_checksum(
        message_after([](auto& content) { content.metadata["rung.section.task"] = "{}"; })));
    CHECK(contains_checksum(
        message_after([](auto& content) { std::swap(content.tensors[0], content.tensors[1]); })));
    CHECK(message_after([](auto& content) { content.metadata.erase("rung.checksum"); }) ==
          "its metadata has no rung.checksum");
    // A file that was written before there were checksums has none.
    CHECK(message_after([](auto& content) {
            content.metadata.erase("rung.checksum");
            content.metadata["rung.version"] = "1";
          }) == "no path: no Error");
  }

  TEST_CASE("metadata that is not ours or newer is refused") {
    const auto set = [](std::string key, std::string value) {
      return message_after([&](auto& content) { content.metadata[key] = value; });
    };
    CHECK(set("format", "pt").starts_with("is a safetensors file, but no model file"));
    CHECK(set("rung.version", "3") ==
          "has model file version 3, this program reads versions up to 2: update it");
    CHECK(set("rung.version", "1x").find("must be a number from 1 on") != std::string::npos);
    CHECK(set("rung.graph", "{").find("rung.graph: not valid JSON") != std::string::npos);
    CHECK(message_after([](auto& content) { content.metadata.erase("rung.graph"); }) ==
          "its metadata has no rung.graph");
    CHECK(message_after([](auto& content) {
            content.tensors.emplace_back("stray", Tensor::scalar(1));
          }) == "the tensor \"stray\" belongs to nothing in the graph");
  }

  TEST_CASE("a description that does not fit is refused with its place") {
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["type"] = "Einsum"; })
              .starts_with("rung.graph: nodes[2] (relu) has the unknown type \"Einsum\"; known are "
                           "Abs, Acos, Acosh, Add, "));
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["inputs"][0] = "fc"; }) ==
          "rung.graph: nodes[2].inputs[0] is fc, which is not defined before");
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["inputs"] = Json::array(); }) ==
          "rung.graph: nodes[2] has no inputs");
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["outputs"] = Json::array(); }) ==
          "rung.graph: nodes[2].outputs does not list the outputs that this node has");
    CHECK(message_after_graph([](Json& g) {
            g["nodes"][2]["outputs"].push_back("more");
          }).find("has 1 outputs, got 2 names") != std::string::npos);
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["outputs"][0] = "bn1"; }).find("taken") !=
          std::string::npos);
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["name"] = "bn1"; }).find("taken") !=
          std::string::npos);
    CHECK(message_after_graph([](Json& g) { g["nodes"][2]["name"] = "a\nb"; }) ==
          "rung.graph: nodes[2].name is empty or has control characters");
    CHECK(message_after_graph([](Json& g) { g["nodes"][0]["attributes"].erase("group"); }) ==
          "[Conv conv1] rung.graph: nodes[0].attributes has no \"group\"");
    CHECK(message_after_graph([](Json& g) {
            g["nodes"][0]["attributes"]["group"] = 1.5;
          }).ends_with("nodes[0].attributes.group must be an integer, got number"));
    CHECK(message_after_graph([](Json& g) {
            g["nodes"][0]["attributes"]["more"] = 1;
          }).ends_with("nodes[0].attributes has \"more\", which this op does not know"));
    CHECK(message_after_graph([](Json& g) {
            g["nodes"][0]["attributes"]["group"] = std::int64_t{1} << 40;
          }).find("must be an integer in") != std::string::npos);
    CHECK(message_after_graph([](Json& g) {
            g["inputs"][0]["shape"][1] = 5;
          }).starts_with("[Conv conv1] "));
    CHECK(message_after_graph([](Json& g) {
            g["parameters"][0]["name"] = "conv1.weigth";
          }).find("closest: conv1.weight") != std::string::npos);
    CHECK(message_after_graph([](Json& g) {
            g["parameters"][1] = g["parameters"][0];
          }).find("appears twice") != std::string::npos);
    CHECK(message_after_graph([](Json& g) {
            g["parameters"][0]["role"] = "king";
          }).find("must be weight, bias, norm, encoding or buffer") != std::string::npos);
    CHECK(message_after_graph([](Json& g) { g["outputs"][0] = "nobody"; }) ==
          "rung.graph: outputs[0] is nobody, which is not defined before");
    CHECK(message_after_graph([](Json& g) { g.erase("nodes"); }) ==
          "rung.graph: the top level has no \"nodes\"");
  }

  TEST_CASE("attributes that no network has give an Error, never a crash") {
    const TemporaryFolder folder;
    save_model(folder / "m.rung", iotest::every_op());
    const SafetensorsFile file(folder / "m.rung");
    const std::string header = file.metadata().at("rung.graph");
    const auto value_of = [&](const std::string& name) { return file.tensor(name); };
    int refused = 0;
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 31}) {
      Json graph = Json::parse(header);
      for (Json& node : graph["nodes"]) {
        for (auto& [name, attribute] : node["attributes"].items()) {
          CAPTURE(node["name"].get<std::string>() + "." + name);
          const Json before =
              std::exchange(attribute, attribute.is_array() ? Json::array({value}) : Json(value));
          try {
            graph_from_json(JsonPlace(graph, "graph"), value_of).check();
          } catch (const Error&) {
            ++refused;
          }
          attribute = before;
        }
      }
    }
    CHECK(refused > 20);
  }

  TEST_CASE("a model file cut anywhere is an Error") {
    const TemporaryFolder folder;
    save_model(folder / "whole", iotest::small_network());
    const std::string bytes = iotest::read_bytes(folder / "whole");
    for (std::size_t size = 0; size < bytes.size(); size += size < 256 ? 1 : 13) {
      iotest::write_bytes(folder / "cut", bytes.substr(0, size));
      CHECK_THROWS_AS(load_model(folder / "cut"), Error);
    }
  }

  TEST_CASE("10000 damaged headers give an Error or a model, never a crash") {
    const TemporaryFolder folder;
    save_model(folder / "whole", iotest::every_op(), {.sections = {{"a", "{}"}}});
    const std::string bytes = iotest::read_bytes(folder / "whole");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::uint64_t state = 11;
    int refused = 0;
    for (int i = 0; i < 10'000; ++i) {
      iotest::write_bytes(folder / "damaged", iotest::damaged(bytes, 8 + header, state));
      try {
        load_model(folder / "damaged").graph.check();
      } catch (const Error&) {
        ++refused;
      }
    }
    MESSAGE("refused ", refused, " of 10000");
    CHECK(refused > 5'000);
  }

  TEST_CASE("what cannot be read back is not written") {
    const TemporaryFolder folder;
    const auto message = [&](std::string name, const ModelExtras& extras = {}) {
      Graph graph = iotest::small_network();
      graph.add_parameter(name, Tensor::scalar(1), Role::weight);
      return message_of([&] { save_model(folder / "m.rung", graph, extras); });
    };
    CHECK(message("extra:x").find("must not begin with extra:") != std::string::npos);
    CHECK(message("two\nlines").find("not printable") != std::string::npos);
    CHECK(message(std::string(2000, 'x')).find("longer than 1024 bytes") != std::string::npos);
    CHECK(message("x", {.tensors = {{"a", Tensor::scalar(1)}, {"a", Tensor::scalar(1)}}})
              .find("taken") != std::string::npos);
    CHECK(folder.file_count() == 0);
  }

  TEST_CASE("a full disk keeps the earlier model") {
    const TemporaryFolder folder;
    save_model(folder / "m.rung", iotest::small_network());
    const std::string before = iotest::read_bytes(folder / "m.rung");
    const iotest::FileSizeLimit limit(1024);
    CHECK(message_of([&] {
            save_model(folder / "m.rung", iotest::every_op());
          }).find("cannot write") != std::string::npos);
    CHECK(iotest::read_bytes(folder / "m.rung") == before);
    CHECK(folder.file_count() == 1);
  }
}
