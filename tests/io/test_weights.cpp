#include <string>
#include <vector>

#include "golden/golden.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"
#include "support/io_helpers.h"
#include "support/io_models.h"

using namespace rung;
using namespace rung::io;
using iotest::small_network;
using iotest::TemporaryFolder;

namespace {

std::vector<float> all_values(const Graph& graph) {
  std::vector<float> values;
  for (const Parameter* parameter : graph.parameters())
    values.insert(values.end(), parameter->value().data().begin(), parameter->value().data().end());
  return values;
}

/// The tensors that save_weights writes, to be changed.
SafetensorsContent content_of(const Graph& graph) {
  SafetensorsContent content;
  for (const Parameter* parameter : graph.parameters())
    content.tensors.emplace_back(parameter->name(), parameter->value());
  return content;
}

}  // namespace

TEST_SUITE("io weights") {
  TEST_CASE("weights move from one graph to another under PyTorch's names") {
    const TemporaryFolder folder;
    const Graph source = small_network();
    save_weights(source, folder / "w.safetensors");
    const SafetensorsFile file(folder / "w.safetensors");
    for (const char* name : {"conv1.weight", "bn1.running_var", "layer1.0.conv1.bias", "fc.weight"})
      CHECK(file.contains(name));
    CHECK(file.metadata().empty());

    Graph target = small_network();
    for (Parameter* parameter : target.parameters()) parameter->edit().fill(0);
    const std::uint64_t version = target.parameter("fc.weight").version();
    const LoadWeightsReport report = load_weights(target, folder / "w.safetensors");
    CHECK(report.missing.empty());
    CHECK(report.unexpected.empty());
    CHECK(all_values(target) == all_values(source));
    CHECK(target.parameter("fc.weight").version() > version);
  }

  TEST_CASE("encodings stay out of weight files and are left alone") {
    const TemporaryFolder folder;
    Graph graph = small_network();
    graph.add_parameter("fc.weight.qdq.min", Tensor::scalar(-1), Role::encoding);
    save_weights(graph, folder / "w.safetensors");
    CHECK_FALSE(SafetensorsFile(folder / "w.safetensors").contains("fc.weight.qdq.min"));
    load_weights(graph, folder / "w.safetensors");
    CHECK(graph.parameter("fc.weight.qdq.min").value().item() == -1);
  }

  TEST_CASE("num_batches_tracked is ignored") {
    const TemporaryFolder folder;
    Graph graph = small_network();
    SafetensorsContent content = content_of(graph);
    content.integers.emplace_back("bn1.num_batches_tracked", IntegerTensor{{}, {7}});
    save_safetensors(folder / "w.safetensors", content);
    CHECK(load_weights(graph, folder / "w.safetensors").unexpected.empty());
  }

  TEST_CASE("everything that does not fit is reported at once and nothing is changed") {
    const TemporaryFolder folder;
    Graph graph = small_network();
    SafetensorsContent content = content_of(graph);
    for (auto& [name, tensor] : content.tensors) {
      if (name == "conv1.weight") name = "conv_1.weight";
      if (name == "fc.bias") tensor = Tensor(Shape{7});
    }
    save_safetensors(folder / "w.safetensors", content);
    for (Parameter* parameter : graph.parameters()) parameter->edit().fill(3);
    const std::vector<float> before = all_values(graph);
    CHECK(message_of([&] { load_weights(graph, folder / "w.safetensors"); }) ==
          (folder / "w.safetensors").string() +
              ": does not fit the model; 1 missing: \"conv1.weight\" (closest: "
              "\"conv_1.weight\"); 1 unexpected: \"conv_1.weight\" (closest: \"conv1.weight\"); "
              "1 of another shape: \"fc.bias\" needs [5], the file has [7]");
    CHECK(all_values(graph) == before);

    // Without strict only the shape is still an Error.
    const std::string loose =
        message_of([&] { load_weights(graph, folder / "w.safetensors", {.strict = false}); });
    CHECK(
        loose.ends_with("does not fit the model; 1 of another shape: \"fc.bias\" needs [5], "
                        "the file has [7]"));
  }

  TEST_CASE("without strict the names that were left out are returned") {
    const TemporaryFolder folder;
    Graph graph = small_network();
    SafetensorsContent content = content_of(graph);
    content.tensors.erase(content.tensors.begin());
    content.tensors.emplace_back("head.weight", Tensor::scalar(1));
    save_safetensors(folder / "w.safetensors", content);
    const LoadWeightsReport report =
        load_weights(graph, folder / "w.safetensors", {.strict = false});
    CHECK(report.missing == std::vector<std::string>{"conv1.weight"});
    CHECK(report.unexpected == std::vector<std::string>{"head.weight"});
  }

  TEST_CASE("parameters of another shape can be left as they are") {
    const TemporaryFolder folder;
    SafetensorsContent content = content_of(small_network());
    for (auto& [name, value] : content.tensors)
      if (name == "fc.bias") value = Tensor(Shape{7});
    save_safetensors(folder / "w.safetensors", content);
    Graph graph = small_network();
    for (Parameter* parameter : graph.parameters()) parameter->edit().fill(3);
    CHECK_THROWS_AS(load_weights(graph, folder / "w.safetensors"), Error);
    CHECK(graph.parameter("fc.weight").value().data()[0] == 3);
    const LoadWeightsReport report =
        load_weights(graph, folder / "w.safetensors", {.skip_other_shapes = true});
    REQUIRE(report.other_shapes.size() == 1);
    CHECK(report.other_shapes[0].name == "fc.bias");
    CHECK(report.other_shapes[0].file_shape == Shape{7});
    CHECK(graph.parameter("fc.bias").value().data()[0] == 3);
    CHECK(graph.parameter("fc.weight").value().data()[0] != 3);
  }

  TEST_CASE("a long list of names is cut, not the message") {
    const TemporaryFolder folder;
    Graph graph = small_network();
    save_safetensors(folder / "w.safetensors", {});
    const std::string message = message_of([&] { load_weights(graph, folder / "w.safetensors"); });
    CHECK(message.find("9 missing") != std::string::npos);
    CHECK(message.ends_with("and 1 more"));
  }
}
