#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/files/checksum.h"
#include "rung/io/model_file.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quant/quantizer.h"
#include "rung/quant/range_estimator.h"
#include "support/gradcheck.h"
#include "support/io_helpers.h"
#include "support/io_models.h"

using namespace rung;
using namespace rung::io;
using iotest::TemporaryFolder;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Saves a model, lets another program change the first number of a tensor and the checksum with
/// it, and returns what load_model says, without the path.
std::string message_with(const Graph& graph, std::string_view name, float value) {
  const TemporaryFolder folder;
  const auto path = folder / "m.rung";
  save_model(path, graph);
  const SafetensorsFile file(path);
  SafetensorsContent content;
  for (const TensorInfo& info : file.tensors()) {
    Tensor tensor = file.tensor(info.name);
    if (info.name == name) tensor.data()[0] = value;
    content.tensors.emplace_back(info.name, tensor);
  }
  content.metadata = file.metadata();
  content.metadata.erase("rung.checksum");
  content.metadata["rung.checksum"] = checksum(content.metadata, content.tensors);
  save_safetensors(path, content);
  const std::string message = message_of([&] { load_model(path); });
  const std::string prefix = path.string() + ": ";
  return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
}

Graph quantized(bool learned) {
  Graph graph;
  const Var x = graph.input("x", {1, 4});
  graph.set_outputs(
      {nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(), make_min_max(), "q")});
  Node& node = *graph.nodes().front();
  const std::vector<Parameter*> parameters = quantizer_parameters(node);
  node.as<QuantizeDequantize>()->set_ranges(std::vector<Range>{{-1.0f, 1.0f}}, parameters);
  for (Parameter* parameter : parameters) parameter->set_requires_grad(learned);
  return graph;
}

}  // namespace

TEST_SUITE("io model file") {
  TEST_CASE("variances that make no sense are refused by node and channel") {
    const Graph graph = iotest::small_network();
    for (const float value : {-1e-9f, -1.0f, kNan, kInfinity}) {
      const std::string message = message_with(graph, "bn1.running_var", value);
      CHECK(message.starts_with("[BatchNormalization bn1] bn1.running_var of channel 0 is "));
      CHECK(message.ends_with(": a variance must be finite and not negative"));
    }
    CHECK(message_with(graph, "bn1.running_var", 0.0f) == "no Error");
    CHECK(message_with(graph, "bn1.running_mean", -1.0f) == "no Error");
  }

  TEST_CASE("weights with such a variance leave a graph as it was") {
    const TemporaryFolder folder;
    Graph graph = iotest::small_network();
    graph.parameter("bn1.running_var").edit().data()[1] = -2.0f;
    for (const char* name : {"w.safetensors", "w.pth"}) {
      save_weights(graph, folder / name);
      Graph other = iotest::small_network();
      other.parameter("conv1.weight").edit().fill(7.0f);
      CHECK(message_of([&] { load_weights(other, folder / name); }) ==
            (folder / name).string() +
                ": [BatchNormalization bn1] bn1.running_var of channel 1 is "
                "-2: a variance must be finite and not negative");
      CHECK(other.parameter("conv1.weight").value().data()[0] == 7.0f);
    }
  }

  TEST_CASE("ranges from which no grid follows are refused by node") {
    for (const bool learned : {false, true}) {
      const Graph graph = quantized(learned);
      CHECK(message_with(graph, "q.max", 2.0f) == "no Error");
      CHECK(message_with(graph, "q.max", -2.0f)  // swapped
                .starts_with("[QuantizeDequantize q] the range -1 .. -2 of channel 0 gives no"));
      for (const float value : {kInfinity, kNan})
        CHECK(message_with(graph, "q.max", value).ends_with(": a range must be finite"));
      CHECK(message_with(graph, "q.min", -kInfinity) ==
            "[QuantizeDequantize q] q.min is -inf: a range must be finite");
    }
  }

  TEST_CASE("learned ranges that a step has made illegal are saved as they are used") {
    const TemporaryFolder folder;
    Graph graph = quantized(true);
    graph.parameter("q.min").edit().data()[0] = 0.5f;
    graph.parameter("q.max").edit().data()[0] = -0.5f;
    save_model(folder / "m.rung", graph);
    CHECK(graph.parameter("q.min").value().data()[0] == 0.5f);
    const ModelFile file = load_model(folder / "m.rung");
    const std::vector<Parameter*> parameters = quantizer_parameters(*graph.nodes().front());
    std::vector<Parameter*> inputs = {nullptr};
    inputs.insert(inputs.end(), parameters.begin(), parameters.end());
    graph.nodes().front()->op().constrain(inputs);  // what the plan does before a forward
    for (const char* name : {"q.min", "q.max"})
      CHECK(file.graph.parameter(name).value().data()[0] ==
            graph.parameter(name).value().data()[0]);
  }

  TEST_CASE("an epsilon that makes no sense is refused when the node is made") {
    for (const float epsilon : {-1e-5f, kNan, kInfinity}) {
      Graph graph;
      const Var x = graph.input("x", {1, 2, 3, 3});
      CHECK(message_of([&] {
              nn::batch_norm2d(x, {.epsilon = epsilon}, "bn");
            }).starts_with("[BatchNormalization bn] epsilon must be finite and not negative, got"));
    }
  }
}
