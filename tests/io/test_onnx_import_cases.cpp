// Files as other tools write them, tests/golden/cases/import; the answers are ONNX Runtime's.

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "golden/golden_model.h"
#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/io/weights.h"
#include "rung/nn/optim.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ptq/batch_norm.h"
#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

using namespace rung;
using golden::largest_difference;

namespace {

std::string path_of(const std::string& name) { return golden::path("cases/import/" + name); }

Graph load(const std::string& name) {
  io::OnnxImportOptions options;
  if (name == "dynamic_hw") options.input_shapes = {{"input", {1, 3, 32, 32}}};
  if (name == "open_height_width") options.input_shapes = {{"x", {1, 3, 8, 8}}};
  return io::load_onnx(path_of(name + ".onnx"), options);
}

/// What ONNX Runtime was fed with and answered.
struct Case {
  Tensor x, y;
};

Case answers(const std::string& name) {
  const nlohmann::json json = golden::json("cases/import/" + name + ".json");
  const auto shape = [&](const char* key) {
    return Shape(json.at(key).get<std::vector<std::int64_t>>());
  };
  Tensor x(shape("shape"));
  for (std::size_t i = 0; i < x.data().size(); ++i)
    x.data()[i] = static_cast<float>(i * 48271 % 2003) / 1001.0f - 1.0f;
  return {x, Tensor(shape("y_shape"), json.at("y").get<std::vector<float>>())};
}

std::size_t count(const Graph& graph, std::string_view type) {
  return static_cast<std::size_t>(
      std::ranges::count_if(graph.nodes(), [&](const Node* node) { return node->type() == type; }));
}

std::vector<std::string> types(const Graph& graph) {
  std::vector<std::string> result;
  for (const Node* node : graph.nodes()) result.emplace_back(node->type());
  return result;
}

/// Reads the graph back from each kind of file, and checks that nothing has changed.
void check_files(Graph& graph, const Tensor& x) {
  const TemporaryFolder folder;
  const Tensor before = Executor(graph).forward(x);
  io::save_model(folder / "m.rung", graph);
  io::ModelFile model = io::load_model(folder / "m.rung");
  CHECK(model.graph.to_string() == graph.to_string());
  CHECK(largest_difference(Executor(model.graph).forward(x), before) == 0.0);
  io::save_onnx(graph, folder / "m.onnx");
  Graph back = io::load_onnx(folder / "m.onnx");
  CHECK(types(back) == types(graph));
  CHECK(largest_difference(Executor(back).forward(x), before) < 1e-6);
  for (const char* file : {"w.safetensors", "w.pth"}) {
    io::save_weights(graph, folder / file);
    for (const Parameter* parameter : model.graph.parameters())
      const_cast<Parameter*>(parameter)->edit().data()[0] += 1.0f;
    io::load_weights(model.graph, folder / file);
    CHECK(largest_difference(Executor(model.graph).forward(x), before) == 0.0);
  }
}

/// Trains for a step, and checks that every parameter that is trained has moved.
void check_trains(Graph& graph, const Tensor& x) {
  std::map<std::string, Tensor> before;
  for (const Parameter* parameter : graph.parameters())
    if (parameter->requires_grad()) before[parameter->name()] = parameter->value().clone();
  Executor executor(graph);
  const Tensor y = executor.forward(x, Mode::train);
  Tensor dy(y.shape());
  for (std::size_t i = 0; i < dy.data().size(); ++i)
    dy.data()[i] = static_cast<float>(i % 7) - 2.5f;
  executor.backward(dy);
  nn::Sgd sgd(graph.parameters(), {.lr = 0.1});
  sgd.step();
  for (const auto& [name, value] : before) {
    CAPTURE(name);
    CHECK(largest_difference(graph.parameter(name).value(), value) > 0.0);
  }
}

const QuantizeDequantize& quantizer(const Graph& graph, const std::string& name) {
  return *graph.node(name).as<QuantizeDequantize>();
}

std::string message_of(const std::string& file) {
  try {
    io::load_onnx(file);
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

}  // namespace

TEST_SUITE("io onnx import cases") {
  TEST_CASE("every file computes what ONNX Runtime computes") {
    for (const std::string name :
         {"conv1d_bn_train", "convT_asym", "prelu_train", "deconv_bn_train", "bn_shared_gamma",
          "qcdq_u4", "qcdq_w_const", "torch_qat_fbgemm", "dynamic_hw", "relu6_min", "external",
          "qdq_tiny_scale", "out_of_order", "unsorted_nodes", "open_height_width",
          "concat_batch1_constant", "pad_from_split_of_constant"}) {
      CAPTURE(name);
      Graph graph = load(name);
      const auto [x, y] = answers(name);
      CHECK(largest_difference(Executor(graph).forward(x), y) < 2e-5);
    }
  }

  TEST_CASE("layers on one axis are one node, in files, folding and placement") {
    Graph graph = load("conv1d_bn_train");
    const std::vector<std::string> parts = {"Conv", "BatchNormalization", "Relu",
                                            "Conv", "BatchNormalization", "Relu"};
    CHECK(types(graph) == parts);
    CHECK(graph.node("/0/Conv").as<Conv>()->axes == 1);
    CHECK(graph.parameter("0.weight").shape() == Shape{8, 4, 3});
    const Tensor x = answers("conv1d_bn_train").x;
    check_files(graph, x);
    check_trains(graph, x);
    const Tensor before = Executor(graph).forward(x);
    CHECK(ptq::fold_all_batch_norms(graph).folded.size() == 2);
    CHECK(largest_difference(Executor(graph).forward(x), before) < 1e-4);
    QuantizationSimModel sim(graph, {.config_file = "per_channel"});
    CHECK(sim.quantizers().size() == 5);  // the input, two weights, two Relus
  }

  TEST_CASE("a transposed convolution with uneven sides is one node") {
    Graph graph = load("convT_asym");
    REQUIRE(types(graph) == std::vector<std::string>{"ConvTranspose"});
    const auto& op = *graph.nodes()[0]->as<ConvTranspose>();
    CHECK(op.padding_h == 0);
    CHECK(op.padding_more_h == 1);
    CHECK(op.padding_w == 1);
    CHECK(op.padding_more_w == -1);
    CHECK(op.output_padding_h == 1);
    const Tensor x = answers("convT_asym").x;
    check_files(graph, x);
    check_trains(graph, x);
  }

  TEST_CASE("slopes of PReLU keep their names, and train") {
    Graph graph = load("prelu_train");
    CHECK(count(graph, "PRelu") == 2);
    CHECK(graph.nodes().size() == 5);
    CHECK(graph.parameter("p.weight").shape() == Shape{8});
    CHECK(graph.parameter("q.weight").shape() == Shape{1});
    const Tensor x = answers("prelu_train").x;
    check_files(graph, x);
    check_trains(graph, x);
  }

  TEST_CASE("quantized slopes come back from ONNX as they went") {
    Graph graph = load("prelu_train");
    const Tensor x = answers("prelu_train").x;
    QuantizationSimModel sim(graph, {});
    sim.compute_encodings([&](Executor& executor) { executor.forward(x); });
    const TemporaryFolder folder;
    io::save_onnx(sim.graph(), folder / "q.onnx", {.quantizers = io::OnnxQuantizers::qdq});
    Graph back = io::load_onnx(folder / "q.onnx");
    CHECK(types(back) == types(sim.graph()));
    CHECK(largest_difference(Executor(back).forward(x), sim.executor().forward(x)) < 1e-5);
  }

  TEST_CASE("batch norms behind transposed convolutions and with shared parameters are folded") {
    for (const std::string name : {"deconv_bn_train", "bn_shared_gamma"}) {
      CAPTURE(name);
      Graph graph = load(name);
      const Tensor x = answers(name).x;
      check_trains(graph, x);
      const Tensor before = Executor(graph).forward(x);
      const ptq::FoldResult result = ptq::fold_all_batch_norms(graph);
      CHECK(count(graph, "BatchNormalization") == 0);
      CHECK(result.skipped.empty());
      CHECK(largest_difference(Executor(graph).forward(x), before) < 1e-5);
      check_files(graph, x);
      CHECK(QuantizationSimModel(graph, {}).quantizers().size() == 8);
    }
  }

  TEST_CASE("a Clip of codes makes a smaller grid") {
    Graph u4 = load("qcdq_u4");
    REQUIRE(types(u4) == std::vector<std::string>{"QuantizeDequantize"});
    const Node& node = *u4.nodes()[0];
    const Encoding encoding = node.as<QuantizeDequantize>()->encoding(quantizer_parameters(node));
    CHECK(encoding.bitwidth == 4);
    CHECK(encoding.offset[0] == -7);
    Graph weight = load("qcdq_w_const");
    CHECK(quantizer(weight, "wq.qdq").quantizer().bitwidth() < 8);
    Graph torch = load("torch_qat_fbgemm");
    CHECK(count(torch, "Clip") == 0);
    CHECK(quantizer(torch, "input.qdq").quantizer().bitwidth() == 7);
    CHECK(torch.parameter("c2.weight").role() == Role::weight);
    CHECK(torch.parameter("c2.weight").requires_grad());
  }

  TEST_CASE("Min and Max of numbers are one Clip") {
    Graph graph = load("relu6_min");
    CHECK(types(graph) == std::vector<std::string>{"Conv", "Clip"});
  }

  TEST_CASE("a constant of one image stands beside every image of a batch") {
    Graph graph = load("concat_batch1_constant");
    const Tensor one = answers("concat_batch1_constant").y;
    const Tensor x = answers("concat_batch1_constant").x;
    Tensor many(Shape{3, 3, 8, 8});
    for (std::int64_t n = 0; n < 3; ++n)
      std::ranges::copy(x.data(), many.data().begin() + n * x.numel());
    Executor executor(graph);
    const Tensor y = executor.forward(many);
    for (std::int64_t n = 0; n < 3; ++n) CHECK(largest_difference(y.slice(n, n + 1), one) == 0.0);
    const Tensor back = [&] {
      const TemporaryFolder folder;
      io::save_onnx(graph, folder / "m.onnx");
      Graph again = io::load_onnx(folder / "m.onnx");
      return Executor(again).forward(many);
    }();
    CHECK(largest_difference(back, y) == 0.0);
  }

  TEST_CASE("images of several sizes run through one graph") {
    Graph graph = load("dynamic_hw");
    Executor executor(graph);
    for (const std::int64_t size : {32, 20, 7})
      CHECK(executor.forward(Tensor::full({2, 3, size, size + 3}, 0.5f)).shape() == Shape{2, 10});
    const std::string message = message_of(path_of("dynamic_hw.onnx"));
    CHECK(message.find("--input-shape input=1,3,h,w") != std::string::npos);
    CHECK(message.find("input_shapes") == std::string::npos);
  }
}

TEST_SUITE("io onnx external data") {
  /// Writes external.onnx with other entries for its weight, beside its data.
  std::string with_entries(const TemporaryFolder& folder,
                           const std::map<std::string, std::string>& entries) {
    onnx::ModelProto model;
    std::ifstream in(path_of("external.onnx"), std::ios::binary);
    REQUIRE(model.ParseFromIstream(&in));
    auto& tensor = *model.mutable_graph()->mutable_initializer(0);
    tensor.clear_external_data();
    for (const auto& [key, value] : entries) {
      auto& entry = *tensor.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
    return folder.write("m.onnx", model.SerializeAsString());
  }

  TEST_CASE("data beside the file are read, others and other places refused") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "sub");
    std::filesystem::copy_file(path_of("external.data"), folder / "w.data");
    std::filesystem::copy_file(path_of("external.data"), folder / "sub/w.data");
    std::filesystem::create_symlink("/etc", folder / "etc");
    std::filesystem::create_symlink(path_of("external.data"), folder / "link.data");
    std::filesystem::create_symlink("w.data", folder / "near.data");
    const auto answer = [&](const std::map<std::string, std::string>& entries) {
      return message_of(with_entries(folder, entries));
    };
    CHECK(answer({{"location", "w.data"}}) == "no Error");
    CHECK(answer({{"location", "sub/w.data"}, {"offset", "0"}, {"length", "9216"}}) == "no Error");
    CHECK(answer({{"location", "near.data"}}) == "no Error");
    const auto refuses = [&](const std::map<std::string, std::string>& entries,
                             const std::string& text) {
      const std::string message = answer(entries);
      CAPTURE(message);
      CHECK(message.find("tensor \"w\"") != std::string::npos);
      CHECK(message.find(text) != std::string::npos);
    };
    refuses({{"location", "../w.data"}}, "not beside the model");
    refuses({{"location", "sub/../w.data"}}, "not beside the model");
    refuses({{"location", (folder / "w.data").string()}}, "not beside the model");
    refuses({{"location", "etc/passwd"}}, "leads out of the model's folder");
    refuses({{"location", "link.data"}}, "leads out of the model's folder");
    refuses({{"location", "none.data"}}, "cannot be opened");
    refuses({{"location", "sub"}}, "sub");
    refuses({}, "in another file");
    refuses({{"location", "w.data"}, {"offset", "1"}}, "which has 9216");
    refuses({{"location", "w.data"}, {"offset", "18446744073709551615"}}, "which has 9216");
    refuses({{"location", "w.data"}, {"offset", "-1"}}, "has the offset");
    refuses({{"location", "w.data"}, {"length", "9215"}}, "its shape needs 9216");
    refuses({{"location", "w.data"}, {"length", "99999999999999999999"}}, "has the length");
  }
}
