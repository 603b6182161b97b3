// How quantizers stand in exported ONNX files: QuantizeLinear, DequantizeLinear, codes and biases.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"
#include "support/onnx_file.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using namespace onnxtest;
TEST_SUITE("io: onnx export of quantizers") {
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

  TEST_CASE("every DequantizeLinear has zero points of its codes' type, of int32 biases zeros") {
    for (const char* config : {"per_channel", "per_tensor"}) {
      QuantizationSimModel sim = calibrated({.config_file = config});
      const onnx::ModelProto model = exported(sim.graph());
      int biases = 0;
      for (const onnx::NodeProto& node : model.graph().node()) {
        if (node.op_type() != "DequantizeLinear") continue;
        CAPTURE(node.name());
        REQUIRE(node.input_size() == 3);
        const onnx::TensorProto& zero_point = tensor_of(model, node.input(2));
        CHECK(zero_point.dims_size() == tensor_of(model, node.input(1)).dims_size());
        if (zero_point.data_type() != onnx::TensorProto::INT32) continue;
        ++biases;
        CHECK(tensor_of(model, node.input(0)).data_type() == onnx::TensorProto::INT32);
        const auto scales = numbers<float>(tensor_of(model, node.input(1)));
        CHECK(numbers<std::int32_t>(zero_point) == std::vector<std::int32_t>(scales.size(), 0));
      }
      CHECK(biases == 4);
    }
  }

  TEST_CASE("int32 biases are read with zero points and without") {
    QuantizationSimModel sim = calibrated({.config_file = "per_channel"});
    onnx::ModelProto model = exported(sim.graph());
    const TemporaryFolder folder;
    const auto biases = [&] {
      const Graph graph = io::load_onnx(folder.write("net.onnx", model.SerializeAsString()));
      return values(graph.parameter("conv1.bias").value());
    };
    const std::vector<float> with = biases();
    for (onnx::NodeProto& node : *model.mutable_graph()->mutable_node())
      if (node.name().ends_with(".bias.dq")) node.mutable_input()->RemoveLast();
    CHECK(biases() == with);
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
    const ConstTensor& weight = sim.graph().parameter("conv1.weight").value();
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
}
