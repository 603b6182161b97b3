// What stands in exported ONNX files; that runtimes compute the same with them is shown by
// tests/onnxruntime.

#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/onnx_export.h"
#include "rung/models.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"
#include "support/every_op.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

onnx::ModelProto load(const std::string& path) {
  onnx::ModelProto model;
  std::ifstream in(path, std::ios::binary);
  REQUIRE(model.ParseFromIstream(&in));
  return model;
}

/// Exports and reads the file; what ONNX 1.12 knows is checked by its own library.
onnx::ModelProto exported(const Graph& graph, const io::OnnxExportOptions& options = {}) {
  const TemporaryFolder folder;
  io::save_onnx(graph, folder.path("net.onnx"), options);
  onnx::ModelProto model = load(folder.path("net.onnx"));
  if (model.opset_import(0).version() <= 17) {
    onnx::checker::check_model(model);
    onnx::ModelProto inferred = model;
    onnx::shape_inference::InferShapes(inferred, onnx::OpSchemaRegistry::Instance(), {true, 1});
  }
  return model;
}

const onnx::NodeProto& node_of(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::NodeProto& node : model.graph().node())
    if (node.name() == name) return node;
  FAIL("no node " << name);
  return model.graph().node(0);
}

bool has_node(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::NodeProto& node : model.graph().node())
    if (node.name() == name) return true;
  return false;
}

const onnx::TensorProto& tensor_of(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::TensorProto& tensor : model.graph().initializer())
    if (tensor.name() == name) return tensor;
  FAIL("no tensor " << name);
  return model.graph().initializer(0);
}

const onnx::AttributeProto* attribute_of(const onnx::NodeProto& node, const std::string& name) {
  for (const onnx::AttributeProto& attribute : node.attribute())
    if (attribute.name() == name) return &attribute;
  return nullptr;
}

template <typename T>
std::vector<T> numbers(const onnx::TensorProto& tensor) {
  std::vector<T> result(tensor.raw_data().size() / sizeof(T));
  std::memcpy(result.data(), tensor.raw_data().data(), tensor.raw_data().size());
  return result;
}

std::vector<std::string> inputs_of(const onnx::NodeProto& node) {
  return {node.input().begin(), node.input().end()};
}

std::vector<std::int64_t> dims_of(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

QuantizationSimModel calibrated(QuantSimOptions options) {
  QuantizationSimModel sim(small_net(), std::move(options));
  calibrate_small_net(sim);
  return sim;
}

std::string error_of(const Graph& graph, const io::OnnxExportOptions& options = {}) {
  const TemporaryFolder folder;
  try {
    io::save_onnx(graph, folder.path("net.onnx"), options);
  } catch (const Error& error) {
    CHECK_FALSE(std::filesystem::exists(folder.path("net.onnx")));
    return error.what();
  }
  return {};
}

}  // namespace

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

  TEST_CASE("every op is valid ONNX") {
    const Graph graph = every_op();
    for (const std::string_view type : op_types()) {
      const bool is_written = type != "QuantizeDequantize" && !type.starts_with("Folded");
      const auto nodes = graph.nodes();
      CHECK_MESSAGE(
          is_written ==
              std::ranges::any_of(nodes, [&](const Node* node) { return node->type() == type; }),
          type);
    }
    for (const int opset : {13, 14, 17, 18, 21}) {
      CAPTURE(opset);
      const onnx::ModelProto model = exported(every_op(opset), {.opset = opset});
      CHECK(model.opset_import(0).version() == opset);
      CHECK(node_of(model, "hard_swish").op_type() == (opset < 14 ? "Mul" : "HardSwish"));
      CHECK(node_of(model, "mean").input_size() == (opset < 18 ? 1 : 2));
      CHECK(model.graph().output(0).type().tensor_type().shape().dim(0).dim_param() == "N");
    }
  }

  TEST_CASE("ops that came to ONNX later choose the opset") {
    CHECK(exported(every_op()).opset_import(0).version() == 21);
    CHECK(exported(every_op(17)).opset_import(0).version() == 17);
    CHECK(exported(every_op(13)).opset_import(0).version() == 13);
    CHECK(error_of(every_op(17), {.opset = 13})
              .find("[LayerNormalization layer_norm] came to ONNX "
                    "with opset 17: it cannot be written with "
                    "opset 13") != std::string::npos);
  }

  TEST_CASE("truth values have their type in the file, and are floats around it") {
    const onnx::ModelProto model = exported(every_op());
    CHECK(node_of(model, "Or").op_type() == "Or");
    CHECK(node_of(model, "Or").output(0) == "Or.truth");
    CHECK(node_of(model, "Or.cast").output(0) == "Or");
    CHECK(node_of(model, "Or.true").op_type() == "Cast");
    CHECK(node_of(model, "Equal").input(0) == "half");
    CHECK(node_of(model, "where").input(0) == "where.true");
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

  TEST_CASE("quantizers become QuantizeLinear and DequantizeLinear under their names") {
    QuantizationSimModel sim = calibrated({.config_file = "per_channel"});
    const onnx::ModelProto model = exported(sim.graph());
    CHECK(model.opset_import(0).version() == 13);
    CHECK(model.graph().output(0).name() == "fc.qdq");
    for (const QuantizerHandle& each : sim.quantizers()) {
      CAPTURE(each.name());
      const bool is_parameter = each.place() == QuantizerPlace::parameter;
      const onnx::NodeProto& dequantize = node_of(model, each.name() + ".qdq");
      CHECK(has_node(model, each.name() + ".q") != is_parameter);
      CHECK(dequantize.op_type() == "DequantizeLinear");
      if (!each.enabled()) continue;
      const Encoding encoding = each.encoding();
      CHECK(inputs_of(dequantize)[0] == each.name() + (is_parameter ? "" : ".q"));
      CHECK(numbers<float>(tensor_of(model, dequantize.input(1))) == encoding.scale);
      const onnx::TensorProto& zero_point = tensor_of(model, dequantize.input(2));
      CHECK(zero_point.data_type() ==
            (encoding.grid.qmin < 0 ? onnx::TensorProto::INT8 : onnx::TensorProto::UINT8));
      CHECK(numbers<std::uint8_t>(zero_point)[0] == -encoding.offset[0]);
      const onnx::AttributeProto* axis = attribute_of(dequantize, "axis");
      CHECK((axis != nullptr) == encoding.per_channel());
      if (!is_parameter) continue;
      const Parameter& weight = sim.graph().parameter(each.name());
      const auto codes = numbers<std::int8_t>(tensor_of(model, each.name()));
      CHECK(std::vector<std::int32_t>(codes.begin(), codes.end()) ==
            quantize(weight.value().data(), weight.shape(), encoding));
    }
  }

  TEST_CASE("biases are int32 with the scale of input times weight") {
    QuantizationSimModel sim = calibrated({.config_file = "per_channel"});
    const onnx::ModelProto model = exported(sim.graph());
    const onnx::NodeProto& dequantize = node_of(model, "conv1.bias.dq");
    CHECK(inputs_of(node_of(model, "conv1"))[2] == "conv1.bias.dq");
    const auto codes = numbers<std::int32_t>(tensor_of(model, "conv1.bias"));
    const auto scales = numbers<float>(tensor_of(model, dequantize.input(1)));
    const Encoding x = sim.quantizer("conv1.input0").encoding(),
                   w = sim.quantizer("conv1.weight").encoding();
    const auto bias = values(sim.graph().parameter("conv1.bias").value());
    REQUIRE(scales.size() == bias.size());
    for (std::size_t c = 0; c < bias.size(); ++c) {
      CHECK(scales[c] == x.scale[0] * w.scale[c]);
      CHECK(static_cast<double>(codes[c]) * double{scales[c]} ==
            doctest::Approx(double{bias[c]}).epsilon(1e-3));
    }
    const onnx::ModelProto floating = exported(sim.graph(), {.int32_bias = false});
    CHECK(numbers<float>(tensor_of(floating, "conv1.bias")) == bias);
  }

  TEST_CASE("a bias that int32 cannot hold stays float, and apart from its layer") {
    QuantizationSimModel sim = calibrated({.config_file = "per_channel"});
    sim.graph().parameter("conv1.bias").edit().data()[1] = 1e9f;
    sim.graph().parameter("fc.bias").edit().data()[1] = 1e9f;
    const onnx::ModelProto model = exported(sim.graph());
    CHECK(tensor_of(model, "conv2.bias").data_type() == onnx::TensorProto::INT32);
    CHECK(tensor_of(model, "conv1.bias").data_type() == onnx::TensorProto::FLOAT);
    CHECK(dims_of(tensor_of(model, "conv1.bias")) == std::vector<std::int64_t>{3, 1, 1});
    CHECK(node_of(model, "conv1").input_size() == 2);
    CHECK(inputs_of(node_of(model, "conv1.add")) ==
          std::vector<std::string>{"conv1.product", "conv1.bias"});
    CHECK(node_of(model, "conv1.add").output(0) == "conv1");
    CHECK(dims_of(tensor_of(model, "fc.bias")) == std::vector<std::int64_t>{1, 4});
  }

  TEST_CASE("codes are bytes where they fit, or packed where the opset can") {
    using io::OnnxCodes;
    struct Expected {
      int bitwidth;
      OnnxCodes codes;
      std::optional<int> opset;
      int type, opset_written;
    };
    constexpr int kInt4 = 22, kInt8 = onnx::TensorProto::INT8, kInt16 = onnx::TensorProto::INT16;
    for (const Expected& each : {Expected{8, OnnxCodes::bytes, {}, kInt8, 13},
                                 Expected{6, OnnxCodes::packed, {}, kInt8, 13},
                                 Expected{4, OnnxCodes::bytes, {}, kInt8, 13},
                                 Expected{2, OnnxCodes::bytes, 21, kInt8, 21},
                                 Expected{4, OnnxCodes::packed, {}, kInt4, 21},
                                 Expected{2, OnnxCodes::packed, {}, kInt4, 21},
                                 Expected{4, OnnxCodes::packed, 13, kInt8, 13},
                                 Expected{12, OnnxCodes::bytes, {}, kInt16, 21}}) {
      CAPTURE(each.bitwidth);
      QuantizationSimModel sim = calibrated({.default_param_bw = each.bitwidth});
      const onnx::ModelProto model =
          exported(sim.graph(), {.codes = each.codes, .opset = each.opset});
      CHECK(model.opset_import(0).version() == each.opset_written);
      CHECK(model.ir_version() == (each.opset_written == 21 ? 10 : 8));
      CHECK(tensor_of(model, "conv1.weight").data_type() == each.type);
    }
  }

  TEST_CASE("4-bit codes are packed, the first in the low nibble") {
    QuantizationSimModel sim = calibrated({.default_param_bw = 4});
    const onnx::ModelProto model = exported(sim.graph(), {.codes = io::OnnxCodes::packed});
    const Parameter& weight = sim.graph().parameter("conv2.weight");  // 9 numbers
    const auto codes =
        quantize(weight.value().data(), weight.shape(), sim.quantizer("conv2.weight").encoding());
    const auto bytes = numbers<std::uint8_t>(tensor_of(model, "conv2.weight"));
    REQUIRE(codes.size() == 9);
    REQUIRE(bytes.size() == 5);
    for (std::size_t i = 0; i < codes.size(); ++i)
      CHECK(((bytes[i / 2] >> (i % 2 * 4)) & 0xf) == (codes[i] & 0xf));
    CHECK((bytes[4] >> 4) == 0);
  }

  TEST_CASE("activations are clipped where their type is wider than the grid") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 6});
    const onnx::ModelProto model = exported(sim.graph());
    CHECK(inputs_of(node_of(model, "relu1.q"))[0] == "relu1.clip");
    const Range range = sim.quantizer("relu1").encoding().effective_range();
    CHECK(numbers<float>(tensor_of(model, node_of(model, "relu1.clip").input(1))) ==
          std::vector<float>{range.min});
    CHECK(numbers<float>(tensor_of(model, node_of(model, "relu1.clip").input(2))) ==
          std::vector<float>{range.max});
    CHECK_FALSE(has_node(exported(calibrated({}).graph()), "relu1.clip"));
  }

  TEST_CASE("blocks of weights have scales of the weight's rank") {
    QuantizationSimModel sim(small_net(), {.config_file = "per_channel"});
    set_blockwise_quantization_for_weights(sim, nodes_named(sim.graph(), {"conv1"}),
                                           {.bitwidth = 4, .block_size = 1});
    calibrate_small_net(sim);
    const onnx::ModelProto model = exported(sim.graph());
    const onnx::NodeProto& dequantize = node_of(model, "conv1.weight.qdq");
    CHECK(attribute_of(dequantize, "axis")->i() == 1);
    CHECK(attribute_of(dequantize, "block_size")->i() == 1);
    const onnx::TensorProto& scale = tensor_of(model, dequantize.input(1));
    CHECK(dims_of(scale) == std::vector<std::int64_t>{3, 2, 3, 3});
    const auto scales = numbers<float>(scale);
    const Encoding encoding = sim.quantizer("conv1.weight").encoding();
    for (std::size_t i = 0; i < scales.size(); ++i) CHECK(scales[i] == encoding.scale[i / 9]);
    CHECK(error_of(sim.graph(), {.opset = 17}).find("conv1.weight") != std::string::npos);
  }

  TEST_CASE("disabled quantizers and those of 32 bits are left out") {
    QuantizationSimModel sim = calibrated({});
    sim.quantizer("relu1").disable();
    sim.quantizer("conv1.weight").disable();
    sim.quantizer("fc").disable();
    const onnx::ModelProto model = exported(sim.graph());
    CHECK_FALSE(has_node(model, "relu1.qdq"));
    CHECK(inputs_of(node_of(model, "conv2"))[0] == "relu1");
    CHECK(tensor_of(model, "conv1.weight").data_type() == onnx::TensorProto::FLOAT);
    CHECK(tensor_of(model, "conv1.bias").data_type() == onnx::TensorProto::FLOAT);
    CHECK(model.graph().output(0).name() == "fc");
  }

  TEST_CASE("baked weights are those that the simulation computes with") {
    QuantizationSimModel sim = calibrated({.default_param_bw = 4, .config_file = "per_channel"});
    const onnx::ModelProto model = exported(sim.graph(), {.quantizers = io::OnnxQuantizers::baked});
    CHECK(model.graph().node_size() == static_cast<int>(small_net().nodes().size()));
    const Tensor& weight = sim.graph().parameter("conv1.weight").value();
    Tensor expected(weight.shape());
    quantize_dequantize(weight.data(), weight.shape(), sim.quantizer("conv1.weight").encoding(),
                        expected.data());
    CHECK(numbers<float>(tensor_of(model, "conv1.weight")) == values(expected));
    const onnx::ModelProto plain = exported(sim.graph(), {.quantizers = io::OnnxQuantizers::none});
    CHECK(numbers<float>(tensor_of(plain, "conv1.weight")) == values(weight));
  }

  TEST_CASE("a weight that two ops read, one of them unquantized, is in the file twice") {
    Graph graph;
    Var x = graph.input("x", {1, 2});
    Var w = graph.parameter("w", random_tensor({2, 2}, 1), Role::weight);
    auto op = std::make_unique<QuantizeDequantize>();
    op->quantizer().set_symmetry(Symmetry::symmetric);
    Var q = nn::quantize_dequantize(w, op->quantizer().clone(), op->estimator().clone(), "w.qdq");
    Node& node = *q.value().producer();
    const Range range{-1.0f, 1.0f};
    node.as<QuantizeDequantize>()->set_ranges({&range, 1}, quantizer_parameters(node));
    Var a = graph.add(make_op("Gemm"), {x, q}, "a");
    graph.set_outputs({graph.add(make_op("Gemm"), {a, w}, "b")});
    const onnx::ModelProto model = exported(graph);
    CHECK(tensor_of(model, "w").data_type() == onnx::TensorProto::FLOAT);
    CHECK(tensor_of(model, "w.q").data_type() == onnx::TensorProto::INT8);
    CHECK(inputs_of(node_of(model, "a"))[1] == "w.qdq");
    CHECK(inputs_of(node_of(model, "b"))[1] == "w");
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
