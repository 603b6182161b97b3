// Which opset an op needs, and what is written where an opset does not have it yet.

#include <algorithm>
#include <map>
#include <string>

#include "doctest/doctest.h"
#include "io/onnx/export/export_ops.h"
#include "rung/ops/activations.h"
#include "rung/ops/functions.h"
#include "rung/ops/shape_ops.h"
#include "rung/testing/op_cases.h"
#include "support/onnx_file.h"

using namespace rung;
using namespace onnxtest;

TEST_SUITE("io: onnx opsets") {
  TEST_CASE("every op is valid ONNX in every opset that has it") {
    for (const testing::OpCase& op : testing::op_cases()) {
      CAPTURE(op.name);
      const Graph graph = testing::graph_of(op, op.inputs);
      const int since = io::opset_of(graph.node("op"));
      for (const int opset : {13, 14, 17, 18, 21}) {
        if (opset < since) continue;
        CAPTURE(opset);
        const onnx::ModelProto model = exported(graph, {.opset = opset});
        CHECK(model.opset_import(0).version() == opset);
        CHECK(model.graph().output(0).type().tensor_type().shape().dim(0).dim_param() == "N");
      }
    }
  }

  TEST_CASE("what an opset has not yet is written in its way") {
    Graph graph;
    const Var x = nn::hardswish(graph.input("x", {2, 4, 8, 8}), "hard_swish");
    graph.set_outputs({nn::mean(x, {.axes = {1}}, "mean")});
    for (const int opset : {13, 14, 17, 18, 21}) {
      CAPTURE(opset);
      const onnx::ModelProto model = exported(graph, {.opset = opset});
      CHECK(node_of(model, "hard_swish").op_type() == (opset < 14 ? "Mul" : "HardSwish"));
      CHECK(node_of(model, "mean").input_size() == (opset < 18 ? 1 : 2));
    }
  }

  TEST_CASE("ops that came to ONNX later choose the opset") {
    for (const auto& [type, opset] : std::map<std::string, int>{{"GroupNormalization", 21},
                                                                {"Gelu", 20},
                                                                {"Mish", 18},
                                                                {"LayerNormalization", 17},
                                                                {"Relu", 13}}) {
      CAPTURE(type);
      const auto op = std::ranges::find(testing::op_cases(), type, &testing::OpCase::name);
      const Graph graph = testing::graph_of(*op, op->inputs);
      CHECK(exported(graph).opset_import(0).version() == opset);
      if (opset > 13)
        CHECK(error_of(graph, {.opset = 13})
                  .find("[" + type + " op] came to ONNX with opset " + std::to_string(opset) +
                        ": it cannot be written with opset 13") != std::string::npos);
    }
  }

  TEST_CASE("truth values have their type in the file, and are floats around it") {
    Graph graph;
    const Var x = graph.input("x", {2, 3}), y = graph.input("y", {2, 3});
    const Var equal = nn::binary(x, y, "Equal", "Equal");
    const Var both = nn::binary(equal, x, "Or", "Or");
    graph.set_outputs({nn::where(both, x, y, "where")});
    const onnx::ModelProto model = exported(graph);
    CHECK(node_of(model, "Or").op_type() == "Or");
    CHECK(node_of(model, "Or").output(0) == "Or.truth");
    CHECK(node_of(model, "Or.cast").output(0) == "Or");
    CHECK(node_of(model, "Or.true").op_type() == "Cast");
    CHECK(node_of(model, "Equal").input(0) == "x");
    CHECK(node_of(model, "where").input(0) == "where.true");
  }
}
