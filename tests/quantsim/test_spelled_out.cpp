// Ops that a graph spells out in several nodes: nothing is quantized inside, and for supergroups
// they are one op.

#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/ops/arithmetic.h"
#include "rung/ops/functions.h"
#include "rung/ops/layers.h"
#include "rung/ops/shape_ops.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

using Names = std::vector<std::string>;

/// Returns a configuration that quantizes all outputs, with these rules, passes and supergroups.
std::string all_outputs(const std::string& rung, const std::string& passes = "",
                        const std::string& groups = "") {
  return R"({"rung": {)" + rung + R"(}, "defaults": {"ops": {"is_output_quantized": true},
             "params": {"is_quantized": false}}, "params": {}, "op_type": {},
             "supergroups": [)" +
         groups + R"(], "supergroup_pass_list": [)" + passes +
         R"(], "model_input": {}, "model_output": {}})";
}

Var number(Var x, const char* name, float value) {
  return x.graph().parameter(name, Tensor::scalar(value), Role::buffer);
}
Var vector(Var x, const char* name) { return x.graph().parameter(name, Tensor({4}), Role::buffer); }

Var silu(Var x) { return nn::mul(x, nn::sigmoid(x, "silu.s"), "silu"); }

/// As PyTorch's exporter writes it before opset 20.
Var gelu(Var x) {
  Var y = nn::div(x, number(x, "root2", 1.41421356f), "gelu.div");
  y = nn::add(nn::unary(y, "Erf", "gelu.erf"), number(x, "one", 1.0f), "gelu.add");
  return nn::mul(nn::mul(x, y, "gelu.mul"), number(x, "half", 0.5f), "gelu");
}

/// With the factors in other places.
Var other_gelu(Var x) {
  Var y = nn::mul(number(x, "root", 0.70710678f), x, "gelu.scaled");
  y = nn::add(number(x, "one", 1.0f), nn::unary(y, "Erf", "gelu.erf"), "gelu.add");
  return nn::mul(nn::mul(x, number(x, "half", 0.5f), "gelu.half"), y, "gelu");
}

Var linear(Var x) {
  const Var weight = x.graph().parameter("weight", Tensor({4, 4}), Role::weight);
  return nn::add(nn::matmul(x, weight, "product"), vector(x, "bias"), "linear");
}

Var mean(Var x, const char* name) { return nn::mean(x, {.axes = {-1}, .keepdims = true}, name); }

Var layer_norm(Var x) {
  const Var centered = nn::sub(x, mean(x, "ln.mean"), "ln.centered");
  const Var square = nn::binary(centered, number(x, "two", 2.0f), "Pow", "ln.square");
  const Var variance =
      nn::add(mean(square, "ln.mean2"), number(x, "epsilon", 1e-5f), "ln.variance");
  const Var y = nn::div(centered, nn::unary(variance, "Sqrt", "ln.root"), "ln.normed");
  return nn::add(nn::mul(y, vector(x, "gamma"), "ln.scaled"), vector(x, "beta"), "ln");
}

Var rms_norm(Var x) {
  const Var variance = nn::add(mean(nn::mul(x, x, "rms.square"), "rms.mean"),
                               number(x, "epsilon", 1e-5f), "rms.variance");
  const Var root = nn::unary(variance, "Sqrt", "rms.root");
  const Var y = nn::mul(x, nn::div(number(x, "one", 1.0f), root, "rms.inverse"), "rms.normed");
  return nn::mul(y, vector(x, "gamma"), "rms");
}

/// Returns the names of the quantizers behind relu -> op -> tanh.
Names placed_around(Var (*op)(Var), const std::string& configuration) {
  Graph graph;
  const Var x = graph.input("x", {1, 4});
  graph.set_outputs({nn::sigmoid(op(nn::relu(x, "relu")), "end")});
  QuantizationSimModel sim = make_sim(graph, configuration);
  sim.graph().check();
  return names_of(sim);
}

}  // namespace

TEST_SUITE("quantsim: ops in several nodes") {
  TEST_CASE("GELU and SiLU have one quantizer") {
    CHECK(placed_around(silu, all_outputs("")) == Names{"relu", "silu", "end"});
    CHECK(placed_around(gelu, all_outputs("")) == Names{"relu", "gelu", "end"});
    CHECK(placed_around(other_gelu, all_outputs("")) == Names{"relu", "gelu", "end"});
    const std::string own = R"("fuse_activations": false, "quantize_constant_products": true)";
    CHECK(placed_around(silu, all_outputs(own)) == Names{"relu", "silu.s", "silu", "end"});
    CHECK(placed_around(gelu, all_outputs(own)).size() == 7);
    // For supergroups it is the ONNX op.
    CHECK(placed_around(gelu, all_outputs("", "", R"({"op_list": ["Relu", "Gelu"]})")) ==
          Names{"gelu", "end"});
    CHECK(placed_around(gelu, all_outputs("", "", R"({"op_list": ["Gelu", "Sigmoid"]})")) ==
          Names{"relu", "end"});
  }

  TEST_CASE("what is inside and is read by others, too, keeps its quantizer") {
    Graph graph;
    const Var x = graph.input("x", {1, 4});
    const Var gate = nn::sigmoid(x, "gate");
    graph.set_outputs({nn::add(nn::mul(x, gate, "product"), gate, "sum")});
    CHECK(placed(graph, all_outputs("")) == Names{"gate.output_quantizers.0",
                                                  "product.output_quantizers.0",
                                                  "sum.output_quantizers.0"});
  }

  TEST_CASE("passes find layers and normalizations") {
    const std::string linear_pass = R"("MatmulAdd")";
    CHECK(placed_around(linear, all_outputs("")) == Names{"relu", "product", "linear", "end"});
    CHECK(placed_around(linear, all_outputs("", linear_pass)) == Names{"relu", "linear", "end"});
    CHECK(placed_around(linear, all_outputs(R"("run_supergroup_passes": false)", linear_pass)) ==
          Names{"relu", "product", "linear", "end"});
    CHECK(placed_around(linear,
                        all_outputs("", linear_pass, R"({"op_list": ["Gemm", "Sigmoid"]})")) ==
          Names{"relu", "end"});
    CHECK(placed_around(layer_norm, all_outputs("", R"("LayerNormalization")")) ==
          Names{"relu", "ln", "end"});
    CHECK(placed_around(layer_norm, all_outputs("")).size() == 11);
    CHECK(placed_around(rms_norm, all_outputs("", R"("RMSNormalization")")) ==
          Names{"relu", "rms", "end"});
    CHECK(placed_around(rms_norm, all_outputs("", R"("LayerNormalization")")).size() == 9);
  }

  TEST_CASE("the reason names the pass") {
    Graph graph;
    graph.set_outputs({linear(graph.input("x", {1, 4}))});
    QuantizationSimModel sim = make_sim(graph, all_outputs("", R"("MatmulAdd")"));
    for (const PlacementReason& each : sim.placement_reasons())
      if (each.quantizer == "product")
        CHECK(each.why() ==
              "supergroup_pass_list[0] MatmulAdd: inside Gemm (product, linear) (over "
              "defaults.ops.is_output_quantized)");
  }
}
