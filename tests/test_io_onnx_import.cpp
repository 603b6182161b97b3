#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "golden.h"
#include "golden_model.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/exec/executor.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_import.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quantsim/quantsim.h"
#include "temporary_folder.h"

using namespace rung;

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

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0.0;
  for (std::size_t i = 0; i < a.data().size(); ++i)
    largest = std::max(largest, std::abs(double{a.data()[i]} - b.data()[i]));
  return largest;
}

const std::vector<std::string> kNetworks = {"net_bn", "net_bn_per_channel", "net_folded",
                                            "net_folded_per_channel"};

// ---- models made here

onnx::ModelProto model_of(std::int64_t opset = 17) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  auto* input = model.mutable_graph()->add_input();
  input->set_name("x");
  auto* type = input->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("N");
  type->mutable_shape()->add_dim()->set_dim_value(4);
  model.mutable_graph()->add_output()->set_name("y");
  return model;
}

onnx::NodeProto& add_node(onnx::ModelProto& model, const std::string& type,
                          const std::vector<std::string>& inputs, const std::string& output) {
  onnx::NodeProto& node = *model.mutable_graph()->add_node();
  node.set_op_type(type);
  for (const std::string& each : inputs) node.add_input(each);
  node.add_output(output);
  return node;
}

void add_tensor(onnx::ModelProto& model, const std::string& name,
                const std::vector<std::int64_t>& dims, const std::vector<float>& values) {
  onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  for (const float value : values) tensor.add_float_data(value);
}

Graph load(const onnx::ModelProto& model, const io::OnnxImportOptions& options = {}) {
  const TemporaryFolder folder;
  return io::load_onnx(folder.write("m.onnx", model.SerializeAsString()), options);
}

/// Returns the message without the path.
std::string message_of(const onnx::ModelProto& model) {
  try {
    load(model);
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.substr(text.find(": ") + 2);
  }
  return "no Error";
}

}  // namespace

TEST_SUITE("io onnx import") {
  TEST_CASE("models of opset 13 to 21 answer as in ONNX Runtime, for any batch size") {
    for (const std::string name : {"shapes_18", "resize_19", "mobile_20"}) {
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
    CHECK(graph.nodes().size() == 6);  // a Pad, since SAME_UPPER is not symmetric here
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
        QuantizationSimModel sim(graph, {.quant_scheme = QuantScheme::post_training_tf,
                                         .config_file = per_channel ? "per_channel" : "default"});
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
        const Tensor& weight = node->inputs()[0]->parameter()->value();
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

  TEST_CASE("before opset 13 Softmax takes everything from its axis on as one vector") {
    onnx::ModelProto model = model_of(12);
    auto* shape = model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
    shape->mutable_shape()->add_dim()->set_dim_value(2);
    add_node(model, "Softmax", {"x"}, "y");
    Graph graph = load(model);
    const Tensor y = Executor(graph).forward(Tensor::full(Shape{3, 4, 2}, 1.0f));
    CHECK(y.shape() == Shape{3, 4, 2});
    CHECK(y.data()[23] == doctest::Approx(0.125));
  }

  TEST_CASE("a part of the channels is taken without the others") {
    onnx::ModelProto model = model_of(9);
    onnx::NodeProto& node = add_node(model, "Slice", {"x"}, "y");
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::int64_t>>{
             {"starts", 1}, {"ends", -1}, {"axes", 1}}) {
      auto* attribute = node.add_attribute();
      attribute->set_name(name);
      attribute->set_type(onnx::AttributeProto::INTS);
      attribute->add_ints(value);
    }
    Graph graph = load(model);
    const Tensor y = Executor(graph).forward(Tensor(Shape{2, 4}, {0, 1, 2, 3, 4, 5, 6, 7}));
    CHECK(y.shape() == Shape{2, 2});
    CHECK(y.data()[0] == 1.0f);
    CHECK(y.data()[3] == 6.0f);
  }

  TEST_CASE("in a file for one batch size, a Reshape that keeps it works for any") {
    onnx::ModelProto model = model_of();
    auto* shape = model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
    shape->mutable_shape()->mutable_dim(0)->set_dim_value(1);
    onnx::TensorProto& target = *model.mutable_graph()->add_initializer();
    target.set_name("target");
    target.set_data_type(onnx::TensorProto::INT64);
    target.add_dims(3);
    for (const std::int64_t each : {1, 2, 2}) target.add_int64_data(each);
    add_node(model, "Reshape", {"x", "target"}, "y");
    Graph graph = load(model);
    CHECK(Executor(graph).forward(Tensor(Shape{5, 4})).shape() == Shape{5, 2, 2});
  }

  TEST_CASE("a Clip that leaves some of the codes makes a quantizer of fewer bits") {
    onnx::ModelProto model = model_of(13);
    add_tensor(model, "low", {}, {-8 * 0.25f});
    add_tensor(model, "high", {}, {(63 - 8) * 0.25f});
    add_tensor(model, "scale", {}, {0.25f});
    onnx::TensorProto& zero = *model.mutable_graph()->add_initializer();
    zero.set_name("zero");
    zero.set_data_type(onnx::TensorProto::UINT8);
    zero.add_int32_data(8);
    add_node(model, "Relu", {"x"}, "r");
    add_node(model, "Clip", {"r", "low", "high"}, "r.clip");
    add_node(model, "QuantizeLinear", {"r.clip", "scale", "zero"}, "r.q");
    add_node(model, "DequantizeLinear", {"r.q", "scale", "zero"}, "r.qdq");
    add_node(model, "Relu", {"r.qdq"}, "y");
    const Graph graph = load(model);
    CHECK(graph.nodes().size() == 3);
    const Node& quantizer = graph.node("r.qdq");
    CHECK(quantizer.inputs()[0]->name() == "r");
    const Encoding encoding =
        quantizer.as<QuantizeDequantize>()->encoding(quantizer_parameters(quantizer));
    CHECK(encoding.bitwidth == 6);
    CHECK(encoding.scale[0] == 0.25f);
    CHECK(encoding.offset[0] == -8);
  }

  TEST_CASE("inputs can be given as constants, and open extents as shapes") {
    onnx::ModelProto model = model_of();
    auto* weight = model.mutable_graph()->add_input();
    weight->set_name("w");
    weight->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
    add_node(model, "MatMul", {"x", "w"}, "y");
    CHECK_THROWS_WITH_AS(load(model), doctest::Contains("input \"w\" has no shape"), Error);
    Graph graph = load(model, {.constants = {{"w", Tensor::full(Shape{4, 2}, 0.5f)}}});
    CHECK(graph.inputs().size() == 1);
    CHECK(graph.parameter("w").role() == Role::weight);
    CHECK(Executor(graph).forward(Tensor::full(Shape{3, 4}, 1.0f)).data()[5] == 2.0f);
    CHECK(load(model, {.input_shapes = {{"w", Shape{4, 2}}}}).inputs().size() == 2);
    CHECK_THROWS_WITH_AS(load(model, {.constants = {{"v", Tensor::scalar(1)}}}),
                         doctest::Contains("has no input v"), Error);
  }

  TEST_CASE("all operators that are not imported are listed at once, with their nodes") {
    onnx::ModelProto model = model_of();
    add_node(model, "Gelu", {"x"}, "a").set_name("act1");
    add_node(model, "Gelu", {"a"}, "b");
    add_node(model, "QLinearConv", {"b"}, "y").set_domain("com.microsoft");
    const std::string message = message_of(model);
    CHECK(
        message.starts_with("has 2 operators that are not imported: \"Gelu\" (\"act1\", \"b\"), "
                            "\"com.microsoft::QLinearConv\" (\"y\"); imported are Add, "));
  }

  TEST_CASE("what cannot be read is refused with the reason") {
    onnx::ModelProto model = model_of();
    add_node(model, "Relu", {"x"}, "y");
    CHECK(message_of(model) == "no Error");
    onnx::ModelProto changed = model;
    changed.mutable_opset_import(0)->set_version(8);
    CHECK(message_of(changed).starts_with("has opset 8, read are 9 to 21"));
    changed.mutable_opset_import(0)->set_version(22);
    CHECK(message_of(changed).starts_with("has opset 22, read are 9 to 21"));
    changed = model;
    changed.mutable_graph()->mutable_node(0)->set_input(0, "z");
    CHECK(message_of(changed).starts_with("[\"Relu\" \"y\"] reads \"z\", which no node before it"));
    changed = model;
    changed.mutable_graph()->mutable_node(0)->add_attribute()->set_name("alpha");
    CHECK(message_of(changed) ==
          "[\"Relu\" \"y\"] has the attribute \"alpha\", which is not known at opset 17");
    changed = model;
    add_tensor(changed, "w", {4}, {1, 2, 3});
    add_node(changed, "Add", {"y", "w"}, "y2");
    CHECK(message_of(changed) == "[\"Add\" \"y2\"] tensor \"w\" has 3 elements, its shape needs 4");
    changed.mutable_graph()->mutable_initializer(0)->set_data_location(onnx::TensorProto::EXTERNAL);
    CHECK(message_of(changed).find("lies in another file") != std::string::npos);
    changed = model;
    changed.mutable_graph()->mutable_output(0)->set_name("none");
    CHECK(message_of(changed).starts_with("reads \"none\""));
    changed = model;
    changed.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
        onnx::TensorProto::INT64);
    CHECK(message_of(changed).starts_with("input \"x\" is of int64, only floats are fed"));
  }

  TEST_CASE("a small file cannot make large constants") {
    onnx::ModelProto model = model_of();
    onnx::TensorProto& shape = *model.mutable_graph()->add_initializer();
    shape.set_name("shape");
    shape.set_data_type(onnx::TensorProto::INT64);
    shape.add_dims(2);
    shape.add_int64_data(30000);
    shape.add_int64_data(30000);
    add_node(model, "ConstantOfShape", {"shape"}, "big");
    add_node(model, "Add", {"x", "big"}, "y");
    CHECK(message_of(model).find("computes far more constants") != std::string::npos);
    onnx::ModelProto huge = model_of();
    add_tensor(huge, "w", {1 << 20, 1 << 20, 1 << 20}, {1.0f});
    add_node(huge, "Add", {"x", "w"}, "y");
    CHECK(message_of(huge).find("too large") != std::string::npos);
  }

  TEST_CASE("nodes without names, or with the same, are named after what they write") {
    onnx::ModelProto model = model_of();
    add_node(model, "Relu", {"x"}, "a").set_name("same");
    add_node(model, "Relu", {"a"}, "same").set_name("same");
    add_node(model, "Relu", {"same"}, "y");
    const Graph graph = load(model);
    CHECK(graph.node("same").output().name() == "a");
    CHECK(graph.value("same").producer()->name() != "same");
    CHECK(graph.node("y").output().name() == "y");
  }
}
