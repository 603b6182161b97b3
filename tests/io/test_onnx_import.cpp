// Files of other exporters; the answers are ONNX Runtime's.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "golden/golden_model.h"
#include "rung/exec/executor.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_import.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

using namespace rung;
using golden::largest_difference;

namespace {

Graph load(const std::string& name) {
  return io::load_onnx(golden::path("onnx/" + name + ".onnx"));
}

/// What ONNX Runtime was fed with and answered.
struct Case {
  Tensor x, y;
};

Tensor tensor_of(const nlohmann::json& shape, const nlohmann::json& values) {
  return Tensor(Shape(shape.get<std::vector<std::int64_t>>()), values.get<std::vector<float>>());
}

Case answers(const std::string& name) {
  const nlohmann::json json = golden::json("onnx/" + name + ".json");
  return {tensor_of(json.at("shape"), json.at("x")), tensor_of(json.at("y_shape"), json.at("y"))};
}

const std::vector<std::string> kNetworks = {"net_bn", "net_bn_per_channel", "net_folded",
                                            "net_folded_per_channel"};

}  // namespace

TEST_SUITE("io onnx import") {
  TEST_CASE("models of opset 13 to 21 answer as in ONNX Runtime, for any batch size") {
    for (const std::string name : {"parts_13", "shapes_18", "resize_19", "mobile_20"}) {
      CAPTURE(name);
      Graph graph = load(name);
      const auto [x, y] = answers(name);
      Executor executor(graph);
      CHECK(largest_difference(executor.forward(x), y) < 1e-5);
      CHECK(largest_difference(executor.forward(x.slice(1, 2)), y.slice(1, 2)) < 1e-5);
    }
  }

  TEST_CASE("shapes that are computed from the batch size become shapes for any batch size") {
    Graph graph = load("shapes_18");
    CHECK(graph.to_string().find("shape=[0, -1]") != std::string::npos);
    CHECK(graph.nodes().size() == 5);  // SAME_UPPER is a Conv of uneven sides here
    CHECK(graph.node("conv").type() == "Conv");
    CHECK(graph.value("c").producer() == &graph.node("conv"));
    CHECK(graph.parameter("w").role() == Role::weight);
    CHECK(graph.parameter("b").role() == Role::bias);
    CHECK(graph.parameter("fw").role() == Role::weight);
    CHECK(graph.parameter("fb").role() == Role::bias);
    CHECK(graph.parameters().size() == 4);
  }

  TEST_CASE("constants of arithmetic are buffers, batch norms keep their parts") {
    const Graph graph = load("mobile_20");
    CHECK(graph.parameter("three").role() == Role::buffer);
    CHECK(graph.parameter("g").role() == Role::norm);
    CHECK(graph.parameter("mu").role() == Role::buffer);
    CHECK(graph.node("bn").as<BatchNormalization>()->momentum == 0.2f);
  }

  TEST_CASE("networks that AIMET exported answer as in ONNX Runtime") {
    for (const std::string& name : kNetworks) {
      CAPTURE(name);
      Graph graph = load(name);
      const auto [x, y] = answers(name);
      CHECK(largest_difference(Executor(graph).forward(x), y) < 1e-4);
      CHECK(graph.find_node("layer1.0.conv1") != nullptr);
      CHECK(graph.find_value("/layer1/0/conv1/Conv_output_0") != nullptr);
      CHECK(graph.parameter("layer1.0.conv1.weight").role() == Role::weight);
    }
  }

  TEST_CASE(
      "AIMET's encodings find every tensor of the network beside them, by tensor and module") {
    std::size_t files = 0;
    for (const std::string& folder : golden::files("export", "")) {
      CAPTURE(folder);
      const bool folded = folder.find("folded") != std::string::npos;
      const bool per_channel = folder.find("per_channel") != std::string::npos;
      for (const char* file : {"/net.encodings", "/net_torch.encodings"}) {
        CAPTURE(file);
        const Graph graph = load(std::string("net_") + (folded ? "folded" : "bn") +
                                 (per_channel ? "_per_channel" : ""));
        QuantizationSimModel sim(
            graph, {.quant_scheme = QuantScheme::post_training_tf,
                    .config_file = per_channel ? "aimet_2024_per_channel" : "aimet_2024"});
        const LoadedEncodings loaded =
            sim.load_encodings(golden::path("export/" + folder + file), {.require_all = true});
        CHECK(loaded.loaded.size() == 27);
        CHECK(loaded.skipped.empty());
        CHECK(loaded.missing.empty());
        ++files;
      }
    }
    CHECK(files == 16);
  }

  TEST_CASE("quantized models compute as in ONNX Runtime, and give the same codes again") {
    for (const std::string name : {"qdq_13", "qdq_21"}) {
      CAPTURE(name);
      Graph graph = load(name);
      const auto [x, y] = answers(name);
      Executor executor(graph);
      CHECK(largest_difference(executor.forward(x), y) < 1e-4);
    }
    const Graph graph = load("qdq_13");
    CHECK(graph.find_value("x.qdq") != nullptr);
    CHECK(graph.find_value("conv1.weight.qdq") != nullptr);
    CHECK(graph.find_value("relu1.qdq") != nullptr);
    CHECK(graph.parameter("conv1.weight").role() == Role::weight);
    CHECK(graph.parameter("conv1.bias").role() == Role::bias);
    CHECK(graph.parameter("fc.weight").role() == Role::weight);
    const Node& weight = graph.node("conv1.weight.qdq");
    const Encoding encoding =
        weight.as<QuantizeDequantize>()->encoding(quantizer_parameters(weight));
    CHECK(encoding.symmetry == Symmetry::symmetric);
    CHECK(encoding.axis == 0);
    CHECK(encoding.scale.size() == 4);
    const Node& relu = graph.node("relu1.qdq");
    const Encoding activation = relu.as<QuantizeDequantize>()->encoding(quantizer_parameters(relu));
    CHECK(activation.scale[0] == 0.02f);
    CHECK(activation.offset[0] == 0);
    const Graph newer = load("qdq_21");
    const Node& blocks = newer.node("m.qdq");
    const Encoding cut = blocks.as<QuantizeDequantize>()->encoding(quantizer_parameters(blocks));
    CHECK(cut.bitwidth == 4);
    REQUIRE(cut.blocks.has_value());
    CHECK(*cut.blocks == Blocks{0, 8, 2});
  }

  TEST_CASE(
      "the weights of a quantized model are on their grids: quantizing them changes nothing") {
    for (const std::string name : {"qdq_13", "qdq_21"}) {
      Graph graph = load(name);
      for (Node* node : graph.nodes()) {
        if (node->as<QuantizeDequantize>() == nullptr || !node->inputs()[0]->parameter()) continue;
        CAPTURE(node->name());
        const ConstTensor& weight = node->inputs()[0]->parameter()->value();
        const Tensor rounded = quantize_dequantize(
            weight, node->as<QuantizeDequantize>()->encoding(quantizer_parameters(*node)));
        CHECK(std::ranges::equal(weight.data(), rounded.data()));
      }
    }
  }

  TEST_CASE("a quantized model can be trained further, and saved") {
    Graph graph = load("qdq_13");
    Executor executor(graph);
    const Tensor x = answers("qdq_13").x;
    const std::vector<std::int64_t> labels = {0, 1, 2};
    nn::Sgd sgd(graph.parameters(Role::weight), {.lr = 0.05f});
    float first = 0.0f, last = 0.0f;
    for (int step = 0; step < 30; ++step) {
      const nn::Loss loss = nn::cross_entropy(executor.forward(x, Mode::train), labels);
      (step == 0 ? first : last) = static_cast<float>(loss.value);
      sgd.zero_grad();
      executor.backward(loss.gradient);
      sgd.step();
    }
    CHECK(last < 0.7f * first);
    const TemporaryFolder folder;
    io::save_model(folder.path("m.safetensors"), graph);
    Graph again = io::load_model(folder.path("m.safetensors")).graph;
    CHECK(largest_difference(Executor(again).forward(x), executor.forward(x)) == 0.0);
  }

  TEST_CASE("a graph with tensor names of its own is saved and loaded as it is") {
    Graph graph = load("net_bn");
    const TemporaryFolder folder;
    io::save_model(folder.path("m.safetensors"), graph);
    const Graph again = io::load_model(folder.path("m.safetensors")).graph;
    CHECK(again.to_string() == graph.to_string());
    CHECK(again.node("conv1").output().name() == "/conv1/Conv_output_0");
  }
}
