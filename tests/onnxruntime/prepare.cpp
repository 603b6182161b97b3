#include <onnx/onnx_pb.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "cases.h"
#include "every_op.h"
#include "rung/rung.h"

namespace agreement {
namespace {

using namespace rung;
using Json = nlohmann::json;

const std::vector<float> kMean = {0.2860f}, kStd = {0.3530f};  // of Fashion-MNIST

Tensor random_images(Shape shape, std::uint64_t seed) {
  Rng rng(seed);
  Tensor x(std::move(shape));
  for (float& v : x.data()) v = static_cast<float>(rng.normal());
  return x;
}

nn::DataLoader clothes(Split split, std::int64_t images, std::int64_t batch) {
  return nn::DataLoader({.dataset = nn::take(datasets::fashion_mnist(split), images),
                         .transform = nn::normalize(kMean, kStd),
                         .batch_size = batch,
                         .shuffle = split == Split::train},
                        Rng(7).split("data"));
}

/// All images of a loader as one tensor.
Tensor all_images(nn::DataLoader loader) {
  std::vector<float> pixels;
  Shape shape;
  for (const nn::Batch& batch : loader) {
    pixels.insert(pixels.end(), batch.images.data().begin(), batch.images.data().end());
    shape = batch.images.shape();
  }
  Tensor x(shape.with(0, static_cast<std::int64_t>(pixels.size()) * shape[0] / shape.numel()));
  std::ranges::copy(pixels, x.data().begin());
  return x;
}

class Preparation {
 public:
  explicit Preparation(std::string folder) : folder_(std::move(folder)) {}

  void add_float(const std::string& name, const Graph& graph, const Tensor& x,
                 const io::OnnxExportOptions& options = {}) {
    io::save_onnx(graph, path(name + ".onnx"), options);
    io::save_model(path(name + ".rung"), graph);
    add({.name = name}, x, true);
  }

  void add_sim(const Case& test, const QuantizationSimModel& sim, const Tensor& x,
               bool optimize = true) {
    ExportOptions options{.export_onnx = false, .export_qdq_onnx = true};
    if (test.float_biases) options.export_int32_bias = false;
    sim.export_to(folder_, test.name, options);
    std::filesystem::rename(path(test.name + "_qdq.onnx"), path(test.name + ".onnx"));
    save_checkpoint(sim, path(test.name + ".rung"));
    const bool wants_codes = test.kind == Kind::layers || test.kind == Kind::labels;
    if (wants_codes) show_codes(path(test.name + ".onnx"));
    add(test, x, optimize);
  }

  void finish() const { std::ofstream(path("cases.json")) << cases_.dump(1); }

 private:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  /// Makes the codes of every tensor outputs of the file.
  static void show_codes(const std::string& path) {
    onnx::ModelProto model;
    std::ifstream in(path, std::ios::binary);
    if (!model.ParseFromIstream(&in)) throw std::runtime_error("cannot read " + path);
    for (const onnx::NodeProto& node : model.graph().node())
      if (node.op_type() == "QuantizeLinear")
        model.mutable_graph()->add_output()->set_name(node.output(0));
    std::ofstream out(path, std::ios::binary);
    model.SerializeToOstream(&out);
  }

  void add(const Case& test, const Tensor& x, bool optimize) {
    std::ofstream(path(test.name + ".in"), std::ios::binary)
        .write(reinterpret_cast<const char*>(x.data().data()),
               static_cast<std::streamsize>(x.data().size_bytes()));
    const auto dims = x.shape().dims();
    cases_.push_back({{"name", test.name},
                      {"kind", static_cast<int>(test.kind)},
                      {"tolerance", test.tolerance},
                      {"model", test.name + ".onnx"},
                      {"input", test.name + ".in"},
                      {"shape", std::vector<std::int64_t>(dims.begin(), dims.end())},
                      {"batch", test.kind == Kind::labels ? 250 : dims[0]},
                      {"optimize", optimize},
                      {"default_settings", test.default_settings}});
  }

  std::string folder_;
  Json cases_ = Json::array();
};

QuantizationSimModel calibrated(const Graph& graph, const QuantSimOptions& options,
                                const std::vector<Tensor>& images) {
  Graph folded = graph.clone();
  ptq::fold_all_batch_norms(folded);
  QuantizationSimModel sim(folded, options);
  sim.compute_encodings([&](Executor& executor) {
    for (const Tensor& x : images) executor.forward(std::span(&x, 1));
  });
  return sim;
}

/// A resnet8 that has seen a little of Fashion-MNIST.
Graph briefly_trained() {
  Graph graph = models::resnet8({.in_channels = 1, .num_classes = 10, .image_size = 28},
                                Rng(1).split("init"));
  Executor executor(graph);
  nn::DataLoader loader = clothes(Split::train, 12800, 64);
  for (const double lr : {0.05, 0.01}) {
    nn::Sgd sgd(graph.parameters(), {.lr = lr, .momentum = 0.9});
    nn::train_one_epoch(executor, loader, nn::cross_entropy, sgd);
  }
  return graph;
}

void disable_activations(QuantizationSimModel& sim) {
  for (QuantizerHandle each : sim.quantizers())
    if (each.place() != QuantizerPlace::parameter) each.disable();
}

/// 4 and 16 bits and blocks: what opset 21 brought.
void add_opset_21(Preparation& preparation, const Graph& graph,
                  const std::vector<Tensor>& calibration, const Tensor& x) {
  QuantizationSimModel w4 =
      calibrated(graph, {.default_param_bw = 4, .config_file = "per_channel"}, calibration);
  disable_activations(w4);
  preparation.add_sim({.name = "w4"}, w4, x);
  preparation.add_sim(
      {.name = "w4a16", .tolerance = 1e-3},
      calibrated(graph,
                 {.default_output_bw = 16, .default_param_bw = 4, .config_file = "per_channel"},
                 calibration),
      x);

  // The first layer has one input channel: nothing to cut.
  const auto wide = [](const Node& node) {
    return node.type() == "Conv" && node.inputs()[1]->shape()[1] % 8 == 0;
  };
  for (const bool grouped : {false, true}) {
    Graph folded = graph.clone();
    ptq::fold_all_batch_norms(folded);
    QuantizationSimModel sim(folded, {.config_file = "per_channel"});
    if (grouped)
      set_grouped_blockwise_quantization_for_weights(sim, wide, {.bitwidth = 4, .block_size = 8});
    else
      set_blockwise_quantization_for_weights(sim, wide, {.bitwidth = 4, .block_size = 8});
    sim.compute_encodings([&](Executor& executor) { executor.forward(calibration[0]); });
    disable_activations(sim);
    preparation.add_sim({.name = grouped ? "grouped_blocks" : "blocks"}, sim, x, false);
  }
}

/// Networks for ImageNet with random weights, at a smaller size.
void add_large(Preparation& preparation, const std::string& model) {
  const Graph graph = models::make(model, {.num_classes = 100, .image_size = 96}, Rng(3));
  const Tensor x = random_images({2, 3, 96, 96}, 4);
  preparation.add_float(model, graph, x);
  for (const char* config : {"default", "per_channel"})
    preparation.add_sim(
        {.name = model + "_w8a8_" + config, .kind = Kind::layers},
        calibrated(graph, {.config_file = config}, {random_images({4, 3, 96, 96}, 5)}), x);
}

void add_trained(Preparation& preparation, const std::string& path) {
  const Graph graph = io::load_model(path).graph;
  const std::vector<Tensor> calibration = {all_images(clothes(Split::train, 512, 128))};
  const Tensor some = all_images(clothes(Split::test, 64, 64));
  preparation.add_float("trained", graph, some);
  const QuantizationSimModel sim = calibrated(graph, {.config_file = "per_channel"}, calibration);
  preparation.add_sim({.name = "trained_w8a8", .kind = Kind::layers}, sim, some);
  preparation.add_sim({.name = "trained_w8a8_per_tensor", .kind = Kind::layers},
                      calibrated(graph, {}, calibration), some);
  preparation.add_sim({.name = "trained_w8a8_test_set", .kind = Kind::labels}, sim,
                      all_images(clothes(Split::test, 10000, 250)));
}

}  // namespace

void prepare(const std::string& folder, bool all, const std::string& trained) {
  Preparation preparation(folder);
  for (const int opset : {13, 17, 21})
    preparation.add_float("every_op_opset_" + std::to_string(opset), every_op(opset),
                          random_images({3, 4, 8, 8}, 1), {.opset = opset});
  // Not optimized: the QLinearSoftmax of ONNX Runtime wraps around where a code would be above 255.
  preparation.add_sim({.name = "every_op_w8a8", .kind = Kind::layers},
                      calibrated(every_op(), {}, {random_images({64, 4, 8, 8}, 2)}),
                      random_images({64, 4, 8, 8}, 3), false);
  const Graph graph = briefly_trained();
  const std::vector<Tensor> calibration = {all_images(clothes(Split::train, 256, 128))};
  const Tensor x = all_images(clothes(Split::test, 32, 32));
  preparation.add_float("resnet8", graph, x);
  for (const char* config : {"default", "per_channel", "htp"})
    preparation.add_sim({.name = std::string("resnet8_w8a8_") + config, .kind = Kind::layers},
                        calibrated(graph, {.config_file = config}, calibration), x);
  preparation.add_sim(
      {.name = "resnet8_w6a6", .kind = Kind::layers},
      calibrated(graph,
                 {.default_output_bw = 6, .default_param_bw = 6, .config_file = "per_channel"},
                 calibration),
      x);
  preparation.add_sim({.name = "resnet8_w8a8_test_set", .kind = Kind::labels},
                      calibrated(graph, {.config_file = "per_channel"}, calibration),
                      all_images(clothes(Split::test, 10000, 250)));
  add_opset_21(preparation, graph, calibration, x);
  add_default_settings([&](const Case& test, const QuantizationSimModel& sim, const Tensor& input) {
    preparation.add_sim(test, sim, input);
  });
  for (const models::ModelInfo& model : models::list())
    if (all && (model.name == "resnet18" || model.name == "mobilenet_v2"))
      add_large(preparation, model.name);
  if (!trained.empty()) add_trained(preparation, trained);
  preparation.finish();
}

}  // namespace agreement
