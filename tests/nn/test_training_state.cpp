#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/training_state.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/io_helpers.h"
#include "support/training_helpers.h"

using namespace rung;
using iotest::read_bytes;
using iotest::TemporaryFolder;

namespace {

nn::DataLoader loader(int workers = 2) {
  return nn::DataLoader(
      {.dataset = test::columns(44, {2, 8, 8}),
       .transform = nn::compose({nn::random_crop(8, 1), nn::random_horizontal_flip()}),
       .batch_size = 8,
       .shuffle = true,
       .workers = workers},
      Rng(8));
}

// Batch statistics, dropout and a residual: everything that has a state or draws numbers.
Graph network() {
  Graph graph;
  Var x = graph.input("input", {1, 2, 8, 8});
  x = nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu1");
  Var y = nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1, .bias = false}, "conv2");
  x = nn::relu(nn::add(nn::batch_norm2d(y, {}, "bn2"), x, "add"), "relu2");
  x = nn::dropout(nn::flatten(nn::global_avg_pool(x, "pool"), "flatten"), {.ratio = 0.2f}, "drop");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc")});
  nn::init_parameters(graph, Rng(5));
  return graph;
}

/// A model in training, as a program would hold it: made anew, or from a checkpoint.
struct Run {
  explicit Run(Graph from) : graph(std::make_unique<Graph>(std::move(from))) {
    own = std::make_unique<Executor>(*graph, ExecutorOptions{.seed = 3});
  }
  explicit Run(QuantizationSimModel from)
      : sim(std::make_unique<QuantizationSimModel>(std::move(from))) {
    sim->executor().set_seed(3);
  }
  Executor& executor() { return sim ? sim->executor() : *own; }
  void save(const std::string& path, io::ModelExtras extras = {}) {
    if (sim)
      save_checkpoint(*sim, path, std::move(extras));
    else
      io::save_model(path, *graph, extras);
  }
  static Run load(const std::string& path) {
    io::ModelFile file = io::load_model(path);
    if (has_checkpoint(file)) return Run(load_checkpoint(std::move(file), path));
    return Run(std::move(file.graph));
  }

  std::unique_ptr<Graph> graph;
  std::unique_ptr<Executor> own;
  std::unique_ptr<QuantizationSimModel> sim;
};

std::unique_ptr<nn::Optimizer> optimizer_of(const std::string& kind, const Graph& graph) {
  if (kind == "adam") return std::make_unique<nn::Adam>(graph.parameters());
  return std::make_unique<nn::Sgd>(
      graph.parameters(), nn::SgdOptions{.lr = 0.02, .momentum = 0.9, .weight_decay = 1e-3});
}

struct Stop {};

/// Trains two epochs of 6 steps, and is killed after `stop` steps (counted from the start) if that
/// is smaller. Returns the bytes of the model at the end.
std::string train(Run run, const std::string& kind, int stop, const std::string& path,
                  int workers = 2) {
  const auto optimizer = optimizer_of(kind, run.executor().graph());
  nn::DataLoader data = loader(workers);
  nn::TrainingState state;
  if (std::filesystem::exists(path)) {
    state = nn::training_state_of(io::load_model(path), path);
    nn::load_training_state(state, run.executor(), data, *optimizer);
  }
  try {
    while (data.state().epoch < 2) {
      nn::train_one_epoch(run.executor(), data, nn::cross_entropy, *optimizer,
                          {.before = state.epoch, .on_progress = [&](const nn::Progress& progress) {
                             nn::TrainingState now =
                                 nn::training_state(run.executor(), data, *optimizer);
                             now.epoch = progress.metrics;
                             const nn::DataLoaderState at = now.data;
                             if (at.epoch * 6 + at.batch != stop) return;
                             io::ModelExtras extras;
                             nn::add_training_state(extras, now);
                             run.save(path, extras);
                             throw Stop();
                           }});
      state.epoch = {};
    }
  } catch (const Stop&) {
    return {};
  }
  run.save(path);
  return read_bytes(path);
}

void check_resumes(const std::string& kind, const std::function<Run()>& make) {
  const TemporaryFolder folder;
  const std::string whole = train(make(), kind, 100, folder / "whole.rung");
  CHECK(whole == train(make(), kind, 100, folder / "again.rung", 0));
  for (const int stop : {1, 4, 6, 7, 11}) {
    CAPTURE(stop);
    const std::string path = folder / ("stopped" + std::to_string(stop));
    CHECK(train(make(), kind, stop, path).empty());
    // Interrupted once more on the way, and with another number of workers.
    if (stop == 4) CHECK(train(Run::load(path), kind, 9, path, 1).empty());
    CHECK((whole == train(Run::load(path), kind, 100, path, 3)));
  }
}

Run quantized(QuantScheme scheme, RoundingMode rounding = RoundingMode::nearest) {
  Graph graph = network();
  QuantizationSimModel sim(
      graph, {.quant_scheme = scheme, .default_param_bw = 4, .rounding_mode = rounding});
  nn::DataLoader data = loader(0);
  sim.compute_encodings([&](Executor& executor) {
    for (const nn::Batch& batch : data) executor.forward(batch.images);
  });
  return Run(std::move(sim));
}

}  // namespace

TEST_SUITE_BEGIN("nn training state");

TEST_CASE("interrupted float training ends in the same bytes, with SGD and with Adam") {
  check_resumes("sgd", [] { return Run(network()); });
  check_resumes("sgd",
                [] { return quantized(QuantScheme::post_training_tf, RoundingMode::stochastic); });
  check_resumes("adam", [] { return Run(network()); });
}

TEST_CASE("interrupted quantization-aware training ends in the same bytes") {
  check_resumes("sgd", [] { return quantized(QuantScheme::post_training_tf_enhanced); });
  check_resumes("sgd", [] { return quantized(QuantScheme::training_range_learning_with_tf_init); });
  check_resumes("adam",
                [] { return quantized(QuantScheme::training_range_learning_with_tf_init); });
}

TEST_CASE("a state is refused by another optimizer, other parameters and a shorter loader") {
  const TemporaryFolder folder;
  const std::string path = folder / "c.rung";
  CHECK(train(Run(network()), "sgd", 4, path).empty());
  const nn::TrainingState state = nn::training_state_of(io::load_model(path), path);
  CHECK(state.data.batch == 4);
  CHECK(state.epoch.images == 32);

  Run run = Run::load(path);
  nn::DataLoader data = loader();
  const auto adam = optimizer_of("adam", *run.graph);
  CHECK(message_of([&] {
          nn::load_training_state(state, run.executor(), data, *adam);
        }).find("the state is that of an optimizer 'sgd'") != std::string::npos);
  CHECK(data.state().batch == 0);
  CHECK(run.executor().step_count() == 0);

  nn::DataLoader shorter({.dataset = test::columns(16, {2, 8, 8}), .batch_size = 8}, Rng(8));
  const auto sgd = optimizer_of("sgd", *run.graph);
  CHECK(message_of([&] {
          nn::load_training_state(state, run.executor(), shorter, *sgd);
        }).find("cannot continue at batch 4") != std::string::npos);
}

TEST_CASE("a model without the section, and a damaged section, are refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "c.rung";
  const std::string model = folder / "model.rung";
  io::save_model(model, network());
  CHECK(message_of([&] { nn::training_state_of(io::load_model(model), model); }) ==
        model + ": is a model, but no checkpoint of a training");
  CHECK(train(Run(network()), "sgd", 4, path).empty());
  io::ModelFile file = io::load_model(path);
  std::string& text = file.sections.at("training");
  const auto changed = [&](const std::string& from, const std::string& to) {
    const std::string whole = text;
    REQUIRE(text.find(from) != std::string::npos);
    text.replace(text.find(from), from.size(), to);
    const std::string message = message_of([&] { nn::training_state_of(file, path); });
    text = whole;
    return message;
  };
  CHECK(changed(R"("batch":4)", R"("batch":-4)").find("data.batch must be") != std::string::npos);
  CHECK(changed(R"("seed":")", R"("seed":"x)").find("data.seed") != std::string::npos);
  CHECK(changed(R"("kind":"sgd")", R"("kind":7)").find("optimizer.kind") != std::string::npos);
}
