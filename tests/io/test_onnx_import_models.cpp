// Import of an ONNX model as a whole: order and names of nodes, inputs, and what is refused.

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <string>

#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/io/onnx_import.h"
#include "support/onnx_model.h"

using namespace rung;
using namespace onnxtest;

TEST_SUITE("io onnx import of models") {
  TEST_CASE("nodes are sorted, whatever order they are in") {
    onnx::ModelProto model = model_of();
    add_node(model, "Sub", {"one", "nine"}, "minus");
    add_node(model, "Clip", {"c", "minus", ""}, "y");
    add_node(model, "Relu", {"b"}, "c");
    add_node(model, "Sigmoid", {"x"}, "b");
    add_tensor(model, "one", {}, {1});
    add_tensor(model, "nine", {}, {9});
    const Graph graph = load(model);
    REQUIRE(graph.nodes().size() == 3);
    CHECK(graph.nodes()[0]->type() == "Sigmoid");
    CHECK(graph.nodes()[2]->type() == "Clip");
  }

  TEST_CASE("in a file for one batch size, a Reshape that keeps it works for any") {
    onnx::ModelProto model = model_of();
    auto* shape = model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
    shape->mutable_shape()->mutable_dim(0)->set_dim_value(1);
    onnx::TensorProto& target = *model.mutable_graph()->add_initializer();
    target.set_name(std::string("target"));
    target.set_data_type(onnx::TensorProto::INT64);
    target.add_dims(3);
    for (const std::int64_t each : {1, 2, 2}) target.add_int64_data(each);
    add_node(model, "Reshape", {"x", "target"}, "y");
    Graph graph = load(model);
    CHECK(Executor(graph).forward(Tensor(Shape{5, 4})).shape() == Shape{5, 2, 2});
  }

  TEST_CASE("inputs can be given as constants, and open extents as shapes") {
    onnx::ModelProto model = model_of();
    auto* weight = model.mutable_graph()->add_input();
    weight->set_name(std::string("w"));
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
    add_node(model, "Einsum", {"x"}, "a").set_name(std::string("act1"));
    add_node(model, "Einsum", {"a"}, "b");
    add_node(model, "QLinearConv", {"b"}, "y").set_domain(std::string("com.microsoft"));
    const std::string message = message_of(model);
    CHECK(
        message.starts_with("has 2 operators that are not imported: \"Einsum\" (\"act1\", "
                            "\"b\"), \"com.microsoft::QLinearConv\" (\"y\"); imported are Abs, "));
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
    changed.mutable_graph()->mutable_node(0)->set_input(0, std::string("z"));
    CHECK(message_of(changed).starts_with("[\"Relu\" \"y\"] reads \"z\", which no node before it"));
    changed.mutable_graph()->mutable_node(0)->set_input(0, std::string("a"));
    add_node(changed, "Relu", {"b"}, "a");
    add_node(changed, "Relu", {"a"}, "b");
    CHECK(message_of(changed) ==
          "has nodes that wait for each other: [\"Relu\" \"a\"] reads [\"Relu\" \"b\"] reads the "
          "first of these");
    changed = model;
    changed.mutable_graph()->mutable_node(0)->add_attribute()->set_name(std::string("alpha"));
    CHECK(message_of(changed) ==
          "[\"Relu\" \"y\"] has the attribute \"alpha\", which is not known at opset 17");
    changed = model;
    add_tensor(changed, "w", {4}, {1, 2, 3});
    add_node(changed, "Add", {"y", "w"}, "y2");
    CHECK(message_of(changed) == "[\"Add\" \"y2\"] tensor \"w\" has 3 elements, its shape needs 4");
    changed.mutable_graph()->mutable_initializer(0)->set_data_location(onnx::TensorProto::EXTERNAL);
    CHECK(message_of(changed).find("it does not say which") != std::string::npos);
    changed = model;
    changed.mutable_graph()->mutable_output(0)->set_name(std::string("none"));
    CHECK(message_of(changed).starts_with("reads \"none\""));
    changed = model;
    changed.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
        onnx::TensorProto::INT64);
    CHECK(message_of(changed).starts_with("input \"x\" is of int64, only floats are fed"));
  }

  TEST_CASE("a small file cannot make large constants") {
    onnx::ModelProto model = model_of();
    onnx::TensorProto& shape = *model.mutable_graph()->add_initializer();
    shape.set_name(std::string("shape"));
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
    add_node(model, "Relu", {"x"}, "a").set_name(std::string("same"));
    add_node(model, "Relu", {"a"}, "same").set_name(std::string("same"));
    add_node(model, "Relu", {"same"}, "y");
    const Graph graph = load(model);
    CHECK(graph.node("same").output().name() == "a");
    CHECK(graph.value("same").producer()->name() != "same");
    CHECK(graph.node("y").output().name() == "y");
  }
}
