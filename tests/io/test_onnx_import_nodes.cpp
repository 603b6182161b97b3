// Import of single ONNX nodes, in models that are made here.

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/ops/quantize_dequantize.h"
#include "support/onnx_model.h"

using namespace rung;
using namespace onnxtest;

TEST_SUITE("io onnx import") {
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

  TEST_CASE("extents that do not follow the batch size can be computed with as floats") {
    onnx::ModelProto model = model_of(13);
    onnx::TensorProto& one = *model.mutable_graph()->add_initializer();
    one.set_name(std::string("one"));
    one.set_data_type(onnx::TensorProto::INT64);
    one.add_int64_data(1);
    add_node(model, "Shape", {"x"}, "shape");
    add_node(model, "Gather", {"shape", "one"}, "channels");
    add_integer(add_node(model, "Cast", {"channels"}, "number"), "to", onnx::TensorProto::FLOAT);
    add_node(model, "Add", {"x", "number"}, "y");
    Graph graph = load(model);
    CHECK(Executor(graph).forward(Tensor(Shape{3, 4})).data()[11] == 4.0f);
    model.mutable_graph()->mutable_initializer(0)->set_int64_data(0, 0);
    CHECK(message_of(model).find("depends on the batch size") != std::string::npos);
  }

  TEST_CASE("a part of the channels is taken without the others") {
    onnx::ModelProto model = model_of(9);
    onnx::NodeProto& node = add_node(model, "Slice", {"x"}, "y");
    add_integers(node, "starts", {1});
    add_integers(node, "ends", {-1});
    add_integers(node, "axes", {1});
    Graph graph = load(model);
    const Tensor y = Executor(graph).forward(Tensor(Shape{2, 4}, {0, 1, 2, 3, 4, 5, 6, 7}));
    CHECK(y.shape() == Shape{2, 2});
    CHECK(y.data()[0] == 1.0f);
    CHECK(y.data()[3] == 6.0f);
  }

  TEST_CASE("a Split gives each output its part of the channels") {
    onnx::ModelProto model = model_of(13);
    onnx::NodeProto& split = add_node(model, "Split", {"x"}, "a");
    split.set_name(std::string("split"));
    split.add_output(std::string("b"));
    add_integer(split, "axis", 1);
    add_node(model, "Sub", {"a", "b"}, "y");
    Graph graph = load(model);
    CHECK(graph.node("split").output().name() == "a");
    CHECK(graph.value("b").producer()->name() == "b");
    const Tensor y = Executor(graph).forward(Tensor(Shape{2, 4}, {0, 1, 2, 4, 8, 16, 32, 64}));
    CHECK(y.shape() == Shape{2, 2});
    CHECK(y.data()[0] == -2.0f);
    CHECK(y.data()[3] == -48.0f);
  }

  TEST_CASE("from opset 18 on the last part of a Split may be smaller") {
    for (const std::int64_t opset : {17, 18}) {
      onnx::ModelProto model = model_of(opset);
      onnx::NodeProto& split = add_node(model, "Split", {"x"}, "a");
      split.add_output(std::string("b"));
      split.add_output(std::string("y"));
      add_integer(split, "axis", -1);
      if (opset == 17) {
        CHECK(message_of(model) == "[\"Split\" \"a\"] cannot make 3 equal parts of 4");
        continue;
      }
      add_integer(split, "num_outputs", 3);
      CHECK(message_of(model) == "[\"Split\" \"a\"] makes a part of 0 of 4 elements");
      split.mutable_output()->RemoveLast();
      split.set_output(1, std::string("y"));
      split.mutable_attribute(1)->set_i(2);
      CHECK(load(model).outputs()[0]->shape() == Shape{1, 2});
    }
  }

  TEST_CASE("parts that do not make up the whole are refused") {
    onnx::ModelProto model = model_of(11);
    onnx::NodeProto& split = add_node(model, "Split", {"x"}, "a");
    split.add_output(std::string("y"));
    add_integer(split, "axis", 1);
    add_integers(split, "split", {1, 2});
    CHECK(message_of(model) ==
          "[\"Split\" \"a\"] has 2 outputs and makes parts of 1, 2 of 4 elements");
    split.mutable_attribute(0)->set_i(0);
    split.mutable_attribute()->RemoveLast();
    CHECK(message_of(model).find("equal parts of 1") != std::string::npos);
    add_integers(split, "split", {1, std::numeric_limits<std::int64_t>::max()});
    CHECK(message_of(model).find("makes a part of 9223372036854775807") != std::string::npos);
  }

  TEST_CASE("PRelu with one slope and with one per channel is one node; slopes are trained") {
    onnx::ModelProto model = model_of();
    add_tensor(model, "one", {1, 1}, {0.25f});
    add_tensor(model, "many", {4}, {0.0f, 1.0f, 2.0f, -1.0f});
    add_node(model, "PRelu", {"x", "one"}, "a");
    add_node(model, "PRelu", {"a", "many"}, "y");
    Graph graph = load(model);
    CHECK(graph.nodes().size() == 2);
    CHECK(graph.node("a").type() == "PRelu");
    CHECK(graph.parameter("one").shape() == Shape{1});
    CHECK(graph.parameter("many").requires_grad());
    const Tensor y = Executor(graph).forward(Tensor(Shape{2, 4}, {-4, -4, -4, -4, 1, 2, 3, 4}));
    const std::vector<float> expected = {0, -1, -2, 1, 1, 2, 3, 4};
    CHECK(std::ranges::equal(y.data(), expected));
  }

  TEST_CASE("other slopes are taken apart") {
    onnx::ModelProto model = model_of();
    auto* shape = model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
    shape->mutable_shape()->add_dim()->set_dim_value(2);
    add_tensor(model, "slope", {4, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
    add_node(model, "PRelu", {"x", "slope"}, "y");
    Graph graph = load(model);
    const Tensor y = Executor(graph).forward(Tensor::full(Shape{1, 4, 2}, -1.0f));
    CHECK(std::ranges::equal(y.data(), std::vector<float>{0, -1, -2, -3, -4, -5, -6, -7}));
  }

  TEST_CASE("Max and Min of numbers are joined to one Clip where nothing else reads between") {
    onnx::ModelProto model = model_of();
    add_tensor(model, "zero", {}, {0});
    add_tensor(model, "six", {1}, {6});
    add_node(model, "Max", {"zero", "x"}, "a");
    add_node(model, "Min", {"a", "six"}, "y");
    Graph graph = load(model);
    REQUIRE(graph.nodes().size() == 1);
    CHECK(graph.nodes()[0]->name() == "y");
    const Tensor y = Executor(graph).forward(Tensor(Shape{1, 4}, {-1, 0.5f, 6, 7}));
    CHECK(std::ranges::equal(y.data(), std::vector<float>{0, 0.5f, 6, 6}));
    model.mutable_graph()->add_output()->set_name(std::string("a"));
    CHECK(load(model).nodes().size() == 2);
  }

  TEST_CASE("codes that are moved or clipped between quantizer and dequantizer stay codes") {
    onnx::ModelProto model = model_of();
    add_tensor(model, "s", {}, {0.5f});
    const auto add_codes = [&](const std::string& name, std::int32_t code) {
      onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
      tensor.set_name(name);
      tensor.set_data_type(onnx::TensorProto::UINT8);
      tensor.add_int32_data(code);
      tensor.add_dims(1);
    };
    add_codes("z", 10);
    add_codes("low", 3);
    add_codes("high", 100);  // no grid of whole bits
    add_node(model, "QuantizeLinear", {"x", "s", "z"}, "q");
    add_node(model, "Max", {"q", "low"}, "a");
    onnx::NodeProto& transpose = add_node(model, "Transpose", {"a"}, "b");
    add_integers(transpose, "perm", {1, 0});
    add_node(model, "Min", {"b", "high"}, "c");
    add_node(model, "DequantizeLinear", {"c", "s", "z"}, "y");
    Graph graph = load(model);
    const Tensor y = Executor(graph).forward(Tensor(Shape{1, 4}, {-100, 0.3f, 1.3f, 100}));
    CHECK(y.shape() == Shape{4, 1});
    CHECK(std::ranges::equal(y.data(), std::vector<float>{-3.5f, 0.5f, 1.5f, 45}));
  }

  TEST_CASE("a quantized weight of a Gemm with transB = 0 is that of a layer") {
    onnx::ModelProto model = model_of();
    add_tensor(model, "s", {2}, {0.5f, 0.25f});
    onnx::TensorProto& codes = *model.mutable_graph()->add_initializer();
    codes.set_name(std::string("w"));
    codes.set_data_type(onnx::TensorProto::INT8);
    for (const std::int64_t dim : {4, 2}) codes.add_dims(dim);
    for (const std::int32_t code : {1, 2, 3, 4, 5, 6, 7, 8}) codes.add_int32_data(code);
    add_integer(add_node(model, "DequantizeLinear", {"w", "s"}, "wd"), "axis", 1);
    add_tensor(model, "b", {2}, {10, 20});
    add_node(model, "Gemm", {"x", "wd", "b"}, "y");
    Graph graph = load(model);
    REQUIRE(graph.nodes().size() == 2);
    CHECK(graph.nodes()[1]->type() == "Gemm");
    CHECK(graph.parameter("w").shape() == Shape{2, 4});
    CHECK(graph.nodes()[0]->as<QuantizeDequantize>()->quantizer().axis() == 0);
    const Tensor y = Executor(graph).forward(Tensor(Shape{1, 4}, {1, 0, 0, 1}));
    CHECK(std::ranges::equal(y.data(), std::vector<float>{14, 22.5f}));
  }

  TEST_CASE("constants that are taken apart and put together are computed") {
    onnx::ModelProto model = model_of();
    onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(std::string("k"));
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(4);
    for (const std::int64_t value : {-1, 4, 7, -2}) tensor.add_int64_data(value);
    add_node(model, "Split", {"k"}, "a").add_output(std::string("b"));
    add_node(model, "Reshape", {"x", "a"}, "y");
    const Graph graph = load(model);
    CHECK(graph.nodes().size() == 1);
  }

  TEST_CASE("blocks that do not fit are refused") {
    onnx::ModelProto model = model_of();
    auto* shape = model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
    for (const std::int64_t extent : {6, 5})
      shape->mutable_shape()->add_dim()->set_dim_value(extent);
    onnx::NodeProto& node = add_node(model, "DepthToSpace", {"x"}, "y");
    add_integer(node, "blocksize", 3);
    CHECK(message_of(model).find("cannot spread 4 channels over blocks of 3 x 3") !=
          std::string::npos);
    node.set_op_type(std::string("SpaceToDepth"));
    CHECK(message_of(model).find("cannot cut [1, 4, 6, 5] into blocks of 3 x 3") !=
          std::string::npos);
    node.mutable_attribute(0)->set_i(0);
    CHECK(message_of(model).find("has a blocksize of 0") != std::string::npos);
  }

  TEST_CASE("a Clip that leaves some of the codes makes a quantizer of fewer bits") {
    onnx::ModelProto model = model_of(13);
    add_tensor(model, "low", {}, {-8 * 0.25f});
    add_tensor(model, "high", {}, {(63 - 8) * 0.25f});
    add_tensor(model, "scale", {}, {0.25f});
    onnx::TensorProto& zero = *model.mutable_graph()->add_initializer();
    zero.set_name(std::string("zero"));
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
}
