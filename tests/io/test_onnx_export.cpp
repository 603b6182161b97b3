// What stands in exported ONNX files; that runtimes compute the same with them is shown by
// tests/onnxruntime.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/onnx_export.h"
#include "rung/models.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/onnx_file.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using namespace onnxtest;

TEST_SUITE("io: onnx export") {
  TEST_CASE("a float graph keeps its names, for any batch size") {
    const Graph graph = small_net();
    const onnx::ModelProto model = exported(graph);
    CHECK(model.ir_version() == 8);
    CHECK(model.opset_import(0).version() == 13);
    CHECK(model.graph().node_size() == static_cast<int>(graph.nodes().size()));
    for (const Node* node : graph.nodes())
      CHECK(node_of(model, node->name()).op_type() == node->type());
    for (const Parameter* parameter : graph.parameters())
      CHECK(numbers<float>(tensor_of(model, parameter->name())) == values(parameter->value()));
    REQUIRE(model.graph().input_size() == 1);
    const auto& shape = model.graph().input(0).type().tensor_type().shape();
    CHECK(model.graph().input(0).name() == "x");
    CHECK(shape.dim(0).dim_param() == "N");
    CHECK(shape.dim(1).dim_value() == 2);
    const auto& output = model.graph().output(0);
    CHECK(output.name() == "fc");
    CHECK(output.type().tensor_type().shape().dim(0).dim_param() == "N");
    CHECK(output.type().tensor_type().shape().dim(1).dim_value() == 4);
    CHECK(attribute_of(node_of(model, "fc"), "transB")->i() == 1);
    CHECK(attribute_of(node_of(model, "conv1"), "kernel_shape")->ints(1) == 3);
  }

  TEST_CASE("attributes and inputs are ONNX's where ours differ") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 4, 4});
    x = nn::batch_norm2d(x, {.momentum = 0.25f}, "bn");
    x = nn::relu6(x, "relu6");
    x = nn::dropout(x, {}, "dropout");
    x = nn::reshape(x, {0, -1}, "reshape");
    graph.set_outputs({nn::softmax(x, {}, "softmax")});
    const onnx::ModelProto model = exported(graph);
    CHECK(attribute_of(node_of(model, "bn"), "momentum")->f() == 0.75f);
    CHECK(attribute_of(node_of(model, "bn"), "frozen") == nullptr);
    CHECK(inputs_of(node_of(model, "relu6")) ==
          std::vector<std::string>{"bn", "relu6.min", "relu6.max"});
    CHECK(numbers<float>(tensor_of(model, "relu6.max")) == std::vector<float>{6.0f});
    CHECK(node_of(model, "dropout").op_type() == "Identity");
    CHECK(numbers<std::int64_t>(tensor_of(model, "reshape.shape")) ==
          std::vector<std::int64_t>{0, -1});
  }

  TEST_CASE("a graph that takes only one batch size says so") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 4, 4});
    graph.set_outputs({nn::reshape(x, {2, 48}, "reshape")});
    const onnx::ModelProto model = exported(graph);
    CHECK(model.graph().input(0).type().tensor_type().shape().dim(0).dim_value() == 2);
  }

  TEST_CASE("every model is valid ONNX, as it is and quantized") {
    for (const models::ModelInfo& info : models::list()) {
      if (info.parameters > 5'000'000) continue;
      CAPTURE(info.name);
      Graph graph = models::make(info.name, {.image_size = 32}, Rng(1));
      exported(graph);
      ptq::fold_all_batch_norms(graph);
      QuantizationSimModel sim(graph, {.config_file = "per_channel"});
      sim.compute_encodings([](Executor& executor) {
        executor.forward(random_tensor({1, 3, 32, 32}, 2));
      });
      exported(sim.graph());
    }
  }

  TEST_CASE("what ONNX cannot express is refused by name") {
    QuantizationSimModel wide = calibrated({.default_output_bw = 20});
    CHECK(error_of(wide.graph()).find("20 bits") != std::string::npos);
    QuantizationSimModel half = calibrated({.default_output_bw = 16,
                                            .default_param_bw = 16,
                                            .default_data_type = QuantizationDataType::floating});
    CHECK(error_of(half.graph()).find("float16") != std::string::npos);
    QuantizationSimModel fresh(small_net(), {});
    CHECK(error_of(fresh.graph()).find("compute_encodings") != std::string::npos);
    QuantizationSimModel short_ones = calibrated({.default_output_bw = 12});
    CHECK(error_of(short_ones.graph(), {.opset = 13}).find("opset 21") != std::string::npos);
    for (const int opset : {12, 22})
      CHECK(error_of(small_net(), {.opset = opset}).find("13 .. 21") != std::string::npos);
    CHECK_THROWS_AS(io::save_onnx(small_net(), "/no/such/folder/x.onnx"), Error);
  }

  TEST_CASE("export_to writes the files that are asked for") {
    QuantizationSimModel sim = calibrated({});
    const TemporaryFolder folder;
    const auto files = sim.export_to(folder.path(), "net", {.export_qdq_onnx = true});
    REQUIRE(files.size() == 5);
    CHECK(files[3] == folder.path("net.onnx"));
    CHECK(files[4] == folder.path("net_qdq.onnx"));
    CHECK_FALSE(has_node(load(files[3]), "relu1.qdq"));
    CHECK(has_node(load(files[4]), "relu1.qdq"));
    CHECK(sim.export_to(folder.path(), "net", {.export_onnx = false}).size() == 3);
    CHECK(sim.export_to(folder.path(), "net", {.export_model = false}).size() == 2);

    QuantizationSimModel wide = calibrated({.default_output_bw = 20});
    CHECK_THROWS_WITH_AS(wide.export_to(folder.path("other"), "net", {.export_qdq_onnx = true}),
                         doctest::Contains("export_qdq_onnx"), Error);
    CHECK_FALSE(std::filesystem::exists(folder.path("other")));
  }
}
