#include "bench/bench_subject.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "console/command.h"
#include "run/config_choice.h"
#include "run/model_source.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_import.h"
#include "rung/models.h"
#include "rung/nn/loss.h"
#include "rung/ptq/batch_norm.h"

namespace rung::cli {
namespace {

constexpr std::int64_t kCalibrationBatches = 8;
constexpr const char* kUsualModel = "resnet20";

Graph read_graph(const std::string& path) {
  if (std::filesystem::path(path).extension() == ".onnx") return io::load_onnx(path);
  io::ModelFile file = read_model_file(path);
  if (has_checkpoint(file))
    throw Error(path +
                ": is quantized; give the float model it was made of, and --scheme, "
                "--param-bw and --output-bw as it was made with");
  return std::move(file.graph);
}

Graph quantizable_graph(const BenchNetwork& network, const BenchOptions& options) {
  Graph graph = network.graph();
  if (options.fold_bn) ptq::fold_all_batch_norms(graph);
  return graph;
}

ExecutorOptions executor_options(const BenchOptions& options) {
  return {.conv_algorithm = parse_conv_algorithm(options.conv.algorithm),
          .profile = options.profile,
          .seed = options.seed};
}

/// A graph and its own executor.
class Model {
 public:
  Model(Graph graph, const BenchOptions& options)
      : graph_(std::make_unique<Graph>(std::move(graph))),
        executor_(*graph_, executor_options(options)) {}
  Graph& graph() { return *graph_; }
  Executor& executor() { return executor_; }

 private:
  std::unique_ptr<Graph> graph_;
  Executor executor_;
};

/// Forward, cross entropy, backward and SGD.
void train_step(Executor& executor, nn::Sgd& sgd, const BenchData& data) {
  const nn::Loss loss = nn::cross_entropy(executor.forward(data.images, Mode::train), data.labels);
  sgd.zero_grad();
  executor.backward(loss.gradient);
  sgd.step();
}

constexpr nn::SgdOptions kSgd{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4};

class Train final : public BenchSubject {
 public:
  Train(const BenchNetwork& network, const BenchOptions& options, const BenchData& data)
      : data_(data), model_(network.graph(), options), sgd_(model_.graph().parameters(), kSgd) {}
  void step() override { train_step(model_.executor(), sgd_, data_); }
  Executor& executor() override { return model_.executor(); }

 private:
  const BenchData& data_;
  Model model_;
  nn::Sgd sgd_;
};

class Infer final : public BenchSubject {
 public:
  Infer(Graph graph, const BenchOptions& options, const BenchData& data, std::int64_t batches = 1)
      : data_(data), model_(std::move(graph), options), batches_(batches) {}
  void step() override {
    for (std::int64_t i = 0; i < batches_; ++i) (void)model_.executor().forward(data_.images);
  }
  std::int64_t batches() const override { return batches_; }
  Executor& executor() override { return model_.executor(); }

 private:
  const BenchData& data_;
  Model model_;
  std::int64_t batches_;
};

QuantizationSimModel make_sim(const BenchNetwork& network, const BenchOptions& options) {
  const ConfigChoice config = choose_config(options.config);
  return QuantizationSimModel(quantizable_graph(network, options),
                              {.quant_scheme = config.quant_scheme,
                               .default_output_bw = options.output_bw,
                               .default_param_bw = options.param_bw,
                               .config_file = config.file,
                               .config_rules = config.rules});
}

class Qat final : public BenchSubject {
 public:
  Qat(const BenchNetwork& network, const BenchOptions& options, const BenchData& data)
      : data_(data), sim_(make_sim(network, options)) {
    sim_.compute_encodings([&](Executor& executor) { (void)executor.forward(data_.images); });
    // What calibration prepared, above all weights in its layouts, is not part of a training step.
    sim_.executor() = Executor(sim_.graph(), executor_options(options));
    sgd_.emplace(sim_.graph().parameters(), kSgd);
  }
  void step() override { train_step(executor(), *sgd_, data_); }
  Executor& executor() override { return sim_.executor(); }

 private:
  const BenchData& data_;
  QuantizationSimModel sim_;
  std::optional<nn::Sgd> sgd_;
};

class Calibrate final : public BenchSubject {
 public:
  Calibrate(const BenchNetwork& network, const BenchOptions& options, const BenchData& data)
      : data_(data), sim_(make_sim(network, options)) {
    step();
  }
  void step() override {
    sim_.compute_encodings([&](Executor& executor) {
      for (std::int64_t i = 0; i < kCalibrationBatches; ++i) (void)executor.forward(data_.images);
    });
  }
  std::int64_t batches() const override { return kCalibrationBatches; }
  Executor& executor() override { return sim_.executor(); }
  Graph original() const { return sim_.get_original_model({.qdq_weights = true}); }

 private:
  const BenchData& data_;
  QuantizationSimModel sim_;
};

}  // namespace

BenchNetwork::BenchNetwork(const BenchOptions& options)
    : name_(options.file), is_file_(!options.file.empty()), seed_(options.seed) {
  if (!is_file_) {
    name_ = options.model.empty() ? kUsualModel : options.model;
    const std::int64_t size = options.size.value_or(32);
    image_ = {options.channels.value_or(3), size, size};
    classes_ = options.classes.value_or(10);
    return;
  }
  const char* given = !options.model.empty() ? "--model"
                      : options.size         ? "--image-size"
                      : options.channels     ? "--in-channels"
                      : options.classes      ? "--num-classes"
                                             : nullptr;
  if (given != nullptr)
    throw UsageError(fmt::format("{} is for networks of rung's; {} has one", given, name_));
  const Graph read = graph();
  const auto inputs = read.inputs(), outputs = read.outputs();
  if (inputs.size() != 1 || outputs.size() != 1 || inputs[0]->shape().rank() != 4 ||
      outputs[0]->shape().rank() != 2)
    throw Error(name_ +
                ": must take one batch of images [N, C, H, W] and give logits "
                "[N, classes], to be timed");
  const Shape& input = inputs[0]->shape();
  image_ = {input[1], input[2], input[3]};
  classes_ = outputs[0]->shape()[1];
}

Graph BenchNetwork::graph() const {
  if (is_file_) return read_graph(name_);
  return models::make(name_,
                      {.in_channels = image_[0], .num_classes = classes_, .image_size = image_[1]},
                      Rng(seed_).split("init"));
}

BenchData::BenchData(const BenchNetwork& network, const BenchOptions& options)
    : images(Shape{options.batch, network.image()[0], network.image()[1], network.image()[2]}) {
  Rng draw = Rng(options.seed).split("images");
  for (float& pixel : images.data()) pixel = static_cast<float>(draw.normal());
  for (std::int64_t n = 0; n < options.batch; ++n)
    labels.push_back(
        static_cast<std::int64_t>(draw.below(static_cast<std::uint64_t>(network.classes()))));
}

BenchPair make_bench(const BenchNetwork& network, const BenchOptions& options,
                     const BenchData& data) {
  if (options.mode == "train")
    return {std::make_unique<Train>(network, options, data), nullptr, ""};
  if (options.mode == "infer")
    return {std::make_unique<Infer>(quantizable_graph(network, options), options, data), nullptr,
            ""};
  if (options.mode == "qat") {
    std::unique_ptr<BenchSubject> beside;
    if (!options.alone) beside = std::make_unique<Train>(network, options, data);
    return {std::make_unique<Qat>(network, options, data), std::move(beside), "float"};
  }
  if (options.mode == "calibrate") {
    auto calibrate = std::make_unique<Calibrate>(network, options, data);
    BenchOptions alike = options;  // quantizers are calibrated behind direct convolutions
    alike.conv.algorithm = to_string(ConvAlgorithm::direct);
    auto forward =
        std::make_unique<Infer>(calibrate->original(), alike, data, calibrate->batches());
    return {std::move(calibrate), std::move(forward), "forward"};
  }
  throw UsageError("MODE must be train, qat, infer, calibrate or ops, got " + options.mode);
}

}  // namespace rung::cli
