// What a parameter is to its op decides, not what it is called.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/onnx_import.h"
#include "rung/ops/ops.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"
#include "support/paths.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

using Names = std::vector<std::string>;

Graph imported(const std::string& name) {
  return io::load_onnx(paths::golden_dir() + "/cases/roles/" + name);
}

/// Returns the names of the values at the bias inputs.
std::set<std::string> biases(const Graph& graph) {
  std::set<std::string> names;
  for (const Node* node : graph.nodes())
    if (node->inputs().size() == 3) names.insert(node->inputs()[2]->name());
  return names;
}

/// x -> conv -> bn -> fc, whose parameters are called after something else.
Graph misnamed_net() {
  Graph graph;
  Var x = graph.input("x", {2, 2, 4, 4});
  const auto parameter = [&](const char* name, Shape shape, Role role) {
    return graph.parameter(name, random_tensor(std::move(shape), 3), role);
  };
  Var y = graph.add(make_op("Conv"),
                    {x, parameter("a.bias", {3, 2, 1, 1}, Role::weight),
                     parameter("onnx::Conv_1", {3}, Role::bias)},
                    "conv");
  y = nn::relu(y, "relu");
  y = graph.add(make_op("BatchNormalization"),
                {y, parameter("bias", {3}, Role::norm), parameter("gamma.weight", {3}, Role::norm),
                 parameter("mean", {3}, Role::buffer),
                 graph.parameter("variance", Tensor::full({3}, 1.0f), Role::buffer)},
                "bn");
  y = nn::flatten(y, "flatten");
  y = graph.add(make_op("Gemm"),
                {y, parameter("7", {4, 48}, Role::weight), parameter("fc.weight", {4}, Role::bias)},
                "fc");
  graph.set_outputs({y});
  return graph;
}

std::set<std::string> quantized(QuantizationSimModel& sim) {
  std::set<std::string> names;
  for (const QuantizerHandle& each : sim.quantizers())
    if (each.place() == QuantizerPlace::parameter && each.enabled()) names.insert(each.name());
  return names;
}

}  // namespace

TEST_SUITE("quantsim: roles") {
  TEST_CASE("biases of ONNX files are left alone whatever they are called, and int32 in QDQ") {
    for (const char* name :
         {"torch_default_export.onnx", "torch_train_export.onnx", "bias_with_another_name.onnx"}) {
      CAPTURE(std::string(name));
      const Graph graph = imported(name);
      for (const char* config : {"default", "per_channel", "htp"}) {
        CAPTURE(config);
        QuantizationSimModel sim(graph, {.default_param_bw = 4, .config_file = config});
        for (const std::string& bias : biases(graph)) CHECK_FALSE(quantized(sim).contains(bias));
        CHECK(!quantized(sim).empty());
        sim.compute_encodings([&](Executor& executor) {
          executor.forward(random_tensor(graph.inputs()[0]->shape(), 1));
        });
        const TemporaryFolder folder;
        sim.export_to(folder.path(), "m", {.export_qdq_onnx = true});
        onnx::ModelProto model;
        std::ifstream in(folder.path("m_qdq.onnx"), std::ios::binary);
        REQUIRE(model.ParseFromIstream(&in));
        std::size_t int32 = 0;
        for (const onnx::TensorProto& tensor : model.graph().initializer())
          int32 += tensor.data_type() == onnx::TensorProto::INT32 &&
                   biases(graph).contains(tensor.name());
        CHECK(int32 == biases(graph).size());
      }
    }
  }

  TEST_CASE("weight and bias settings of a configuration go by position") {
    const std::string start = R"({"defaults": {"ops": {}, "params": {}}, "params": {)";
    const std::string end = R"(}, "op_type": {}, "supergroups": [], "model_input": {},
                               "model_output": {}})";
    QuantizationSimModel weights =
        make_sim(misnamed_net(), start + R"("weight": {"is_quantized": true})" + end);
    CHECK(quantized(weights) == std::set<std::string>{"7", "a.bias", "bias"});
    CHECK(placed(weights) == Names{"bn.param_quantizers.weight", "conv.param_quantizers.weight",
                                   "fc.param_quantizers.weight"});
    QuantizationSimModel biases =
        make_sim(misnamed_net(), start + R"("bias": {"is_quantized": true})" + end);
    CHECK(quantized(biases) == std::set<std::string>{"fc.weight", "gamma.weight", "onnx::Conv_1"});
    CHECK(placed(biases) == Names{"bn.param_quantizers.bias", "conv.param_quantizers.bias",
                                  "fc.param_quantizers.bias"});
  }

  TEST_CASE("methods that take weight or bias go by position, too") {
    const std::string all = R"({"defaults": {"ops": {}, "params": {"is_quantized": true}},
        "params": {}, "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})";
    QuantizationSimModel sim = make_sim(misnamed_net(), all);
    CHECK(quantized(sim).size() == 6);
    sim.exclude_param_from_quantization("bias");
    CHECK(quantized(sim) == std::set<std::string>{"7", "a.bias", "bias"});
    CHECK(sim.quantizer("fc.param_quantizers.weight").name() == "7");
    CHECK(set_blockwise_quantization_for_weights(sim, nodes_of_type({"Conv", "Gemm"}),
                                                 {.block_size = 2}) == 2);
    CHECK(sim.quantizer("a.bias").op().quantizer().granularity().blocks.has_value());
    CHECK_THROWS_WITH_AS(sim.exclude_param_from_quantization("gamma"),
                         doctest::Contains("there are bias, weight"), Error);
  }

  TEST_CASE("constants that are added or multiplied have one scale, weights one per channel") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 4, 4});
    Var y = graph.add(make_op("Conv"),
                      {x, graph.parameter("w", random_tensor({3, 3, 1, 1}, 1), Role::weight)}, "c");
    y = graph.add(make_op("Mul"),
                  {y, graph.parameter("slope", random_tensor({3, 1, 1}, 2), Role::norm)}, "m");
    y = graph.add(make_op("Add"),
                  {y, graph.parameter("shift", random_tensor({3, 1, 1}, 3), Role::norm)}, "a");
    graph.set_outputs({y});
    QuantizationSimModel sim(graph, {.config_file = "per_channel"});
    CHECK(sim.quantizer("w").op().quantizer().axis() == 0);
    CHECK_FALSE(sim.quantizer("slope").op().quantizer().axis().has_value());
    CHECK_FALSE(sim.quantizer("shift").op().quantizer().axis().has_value());
  }

  TEST_CASE("Softmax and Sigmoid have the range 0 .. 1 unless a configuration has none") {
    Graph graph;
    Var x = graph.input("x", {2, 7});
    graph.set_outputs({nn::sigmoid(nn::softmax(x, {}, "softmax"), "sigmoid")});
    for (const char* name : {"default", "per_channel", "htp"}) {
      CAPTURE(name);
      QuantizationSimModel sim(graph, {.config_file = name});
      sim.compute_encodings([](Executor& executor) { executor.forward(random_tensor({2, 7}, 1)); });
      for (const char* tensor : {"softmax", "sigmoid"}) {
        const Range range = sim.quantizer(tensor).encoding().effective_range();
        CHECK(range.min == 0.0f);
        CHECK(range.max == doctest::Approx(1.0f));
      }
    }
    QuantizationSimModel own =
        make_sim(graph, config(R"({"is_output_quantized": true})", "{}", "{}"));
    own.compute_encodings([](Executor& executor) { executor.forward(random_tensor({2, 7}, 1)); });
    CHECK(own.quantizer("softmax").encoding().effective_range().max < 0.9f);
  }
}
