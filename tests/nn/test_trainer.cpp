// nn::Trainer and nn::Checkpoints: runs that are interrupted go on as if they had not been.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/trainer.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "rung/quantsim/range_watch.h"
#include "support/io_helpers.h"
#include "support/training_helpers.h"

using namespace rung;
using iotest::read_bytes;
using iotest::TemporaryFolder;

namespace {

constexpr std::int64_t kBatches = 6;

Graph network() {
  Graph graph;
  Var x = nn::flatten(graph.input("x", {1, 1, 4, 4}), "flatten");
  x = nn::dropout(nn::relu(nn::linear(x, {.out_features = 12}, "fc1"), "relu"), {.ratio = 0.2f},
                  "drop");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc2")});
  nn::init_parameters(graph, Rng(5));
  return graph;
}

/// What one process does: a model, anew or from a checkpoint, trained for three epochs.
struct Process {
  explicit Process(nn::CheckpointOptions options)
      : checkpoints(std::move(options)), file(checkpoints.take_resumed()) {}

  nn::TrainingEnd run(nn::TrainerOptions options = {}) {
    options.epochs = 3;
    options.schedule = nn::CosineAnnealingLR{.t_max = 3};
    options.checkpoints = &checkpoints;
    nn::Trainer trainer(executor, data, nn::cross_entropy, sgd, std::move(options));
    const nn::TrainingEnd end = trainer.run();
    epochs = trainer.epochs();
    step = trainer.step();
    return end;
  }
  std::string bytes(const std::string& path) const {
    io::save_model(path, graph);
    return read_bytes(path);
  }

  nn::Checkpoints checkpoints;
  std::optional<io::ModelFile> file;
  Graph graph = file ? std::move(file->graph) : network();
  Executor executor{graph, {.seed = 3}};
  nn::DataLoader data{{.dataset = test::columns(44, {1, 4, 4}), .batch_size = 8, .shuffle = true},
                      Rng(8)};
  nn::DataLoader held_out{{.dataset = test::columns(20, {1, 4, 4}), .batch_size = 10}};
  nn::Sgd sgd{graph.parameters(), {.lr = 0.05, .momentum = 0.9}};
  std::vector<nn::EpochFigures> epochs;
  std::int64_t step = 0;
};

/// Stops a run after so many steps of this process.
nn::TrainerOptions stopped_after(std::int64_t steps) {
  const auto done = std::make_shared<std::int64_t>(0);
  return {.stop = [done, steps] { return *done >= steps; },
          .on_progress = [done](const nn::Progress&) { ++*done; }};
}

std::size_t files_in(const std::string& folder) {
  std::size_t count = 0;
  std::error_code ignored;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    ++count;
  return count;
}

}  // namespace

TEST_SUITE_BEGIN("nn trainer");

TEST_CASE("a run that is stopped after any step goes on and ends in the same bytes") {
  const TemporaryFolder folder;
  Process whole({.folder = folder / "whole"});
  CHECK(whole.run() == nn::TrainingEnd::all_epochs);
  CHECK(whole.step == 3 * kBatches);
  const std::string bytes = whole.bytes(folder / "whole.rung");
  whole.checkpoints.finish();
  CHECK(!std::filesystem::exists(folder / "whole"));
  for (const std::int64_t stop : {1, 4, 6, 7, 11, 18}) {
    CAPTURE(stop);
    const std::string path = folder / std::to_string(stop);
    {
      Process first({.folder = path, .every = "never"});
      CHECK(first.run(stopped_after(stop)) == nn::TrainingEnd::stopped);
      CHECK(first.step == stop);
    }
    Process second({.folder = path, .every = "never", .resume = "auto"});
    CHECK(!second.checkpoints.resumed_path().empty());
    CHECK(second.run() == nn::TrainingEnd::all_epochs);
    CHECK(second.bytes(folder / "again.rung") == bytes);
    REQUIRE(second.epochs.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(second.epochs[i].loss == whole.epochs[i].loss);
      CHECK(second.epochs[i].top1 == whole.epochs[i].top1);
      CHECK(second.epochs[i].lr == whole.epochs[i].lr);
    }
  }
}

TEST_CASE("checkpoints bring back what callbacks have kept") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  nn::TrainerOptions options = stopped_after(4);
  options.keep = [](io::ModelExtras& kept) {
    kept.sections["mine"] = "a text";
    kept.tensors.emplace_back("mine", Tensor({2}, {1.5f, -2.0f}));
  };
  bool restored = false;
  options.restore = [&](const nn::RunState&, std::int64_t) { restored = true; };
  Process({.folder = path, .every = "never"}).run(options);
  CHECK(!restored);  // there was nothing to go on from
  Process second({.folder = path, .every = "never", .resume = "auto"});
  nn::RunState state;
  std::int64_t step = 0;
  second.run(
      {.restore = [&](const nn::RunState& from, std::int64_t at) { state = from, step = at; }});
  CHECK(step == 4);
  CHECK(state.training.epoch.images == 32);
  CHECK(state.kept.sections == std::map<std::string, std::string>{{"mine", "a text"}});
  REQUIRE(state.kept.tensors.size() == 1);
  CHECK(state.kept.tensors[0].first == "mine");
  CHECK(equal(state.kept.tensors[0].second, Tensor({2}, {1.5f, -2.0f})));
}

TEST_CASE("a checkpoint of an earlier version, whose epochs say less, is gone on from") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  Process whole({.folder = folder / "whole"});
  whole.run();
  Process first({.folder = path, .every = "never"});
  first.run(stopped_after(8));
  const std::string newest = first.checkpoints.newest();
  io::ModelFile file = io::load_model(newest);
  std::string& text = file.sections.at(nn::kRunSection);
  const std::string added = ",null,null,\"none\"]";
  REQUIRE(text.find(added) != std::string::npos);
  text.replace(text.find(added), added.size(), "]");
  io::save_model(newest, file.graph, {.sections = file.sections, .tensors = file.tensors});
  Process second({.folder = path, .every = "never", .resume = "auto"});
  CHECK(second.run() == nn::TrainingEnd::all_epochs);
  CHECK(second.epochs[0].loss == whole.epochs[0].loss);
  CHECK(test::values(second.graph) == test::values(whole.graph));
}

TEST_CASE("a run that was stopped can go on in the same process") {
  const TemporaryFolder folder;
  Process whole({.folder = folder / "whole"}), parts({.folder = folder / "parts"});
  whole.run();
  nn::Trainer trainer(
      parts.executor, parts.data, nn::cross_entropy, parts.sgd,
      {.epochs = 3, .schedule = nn::CosineAnnealingLR{.t_max = 3}, .stop = [] { return true; }});
  for (std::int64_t step = 1; step <= 3 * kBatches; ++step) {
    CHECK(trainer.run() == nn::TrainingEnd::stopped);
    CHECK(trainer.step() == step);
    if (step % kBatches != 0) continue;
    CHECK(trainer.run() == nn::TrainingEnd::stopped);  // at the end of the epoch
    CHECK(trainer.epochs().size() == static_cast<std::size_t>(step / kBatches));
  }
  CHECK(trainer.run() == nn::TrainingEnd::all_epochs);
  CHECK(test::values(parts.graph) == test::values(whole.graph));
}

TEST_CASE("a run that is stopped in its validation does only that again") {
  const TemporaryFolder folder;
  const auto options = [](Process& process, int stop_at, int& calls) {
    return nn::TrainerOptions{
        .validate = [&process, stop_at, &calls]() -> std::optional<nn::Metrics> {
          if (++calls == stop_at) return {};
          return nn::evaluate(process.executor, process.held_out);
        }};
  };
  int calls = 0;
  Process whole({.folder = folder / "whole", .best = folder / "whole.best"});
  whole.run(options(whole, 0, calls));
  CHECK(calls == 3);
  {
    calls = 0;
    Process first({.folder = folder / "parts", .best = folder / "parts.best"});
    CHECK(first.run(options(first, 2, calls)) == nn::TrainingEnd::stopped);
    CHECK(first.step == 2 * kBatches);
    CHECK(first.epochs.size() == 1);
  }
  Process second({.folder = folder / "parts", .best = folder / "parts.best", .resume = "auto"});
  std::vector<std::int64_t> steps;
  nn::TrainerOptions rest = options(second, 0, calls);
  rest.on_progress = [&](const nn::Progress& progress) { steps.push_back(progress.batch); };
  CHECK(second.run(rest) == nn::TrainingEnd::all_epochs);
  CHECK(steps == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
  CHECK(calls == 2 + 2);
  CHECK(second.bytes(folder / "b.rung") == whole.bytes(folder / "a.rung"));
  CHECK(read_bytes(folder / "parts.best") == read_bytes(folder / "whole.best"));
  CHECK(second.epochs[1].top1_validation == whole.epochs[1].top1_validation);
}

TEST_CASE("a simulation goes on from its checkpoint in the same bytes") {
  const TemporaryFolder folder;
  const auto train = [&](const std::string& path, std::int64_t stop) {
    nn::Checkpoints checkpoints({.folder = path, .every = "never", .resume = "auto"});
    std::optional<io::ModelFile> file = checkpoints.take_resumed();
    QuantizationSimModel sim =
        file ? load_checkpoint(std::move(*file), path)
             : QuantizationSimModel(
                   network(), {.quant_scheme = QuantScheme::training_range_learning_with_tf_init,
                               .default_param_bw = 4});
    nn::DataLoader data({.dataset = test::columns(44, {1, 4, 4}), .batch_size = 8, .shuffle = true},
                        Rng(8));
    nn::DataLoader few({.dataset = test::columns(16, {1, 4, 4}), .batch_size = 8});
    if (!file)
      sim.compute_encodings([&](Executor& executor) {
        for (const nn::Batch& batch : few) executor.forward(batch.images);
      });
    sim.executor().set_seed(3);
    RangeWatch ranges(sim);
    nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.02, .momentum = 0.9});
    nn::TrainerOptions options = stopped_after(stop);
    options.epochs = 2;
    options.checkpoints = &checkpoints;
    options.save = [&](const std::string& to, io::ModelExtras extras) {
      save_checkpoint(sim, to, std::move(extras));
    };
    options.watch = [&] {
      std::vector<std::string> warnings;
      for (const CollapsedRange& each : ranges.check()) warnings.push_back(each.reason);
      return warnings;
    };
    nn::Trainer trainer(sim.executor(), data, nn::cross_entropy, sgd, options);
    const nn::TrainingEnd end = trainer.run();
    CHECK(trainer.warnings().empty());
    save_checkpoint(sim, folder / "end.rung");
    return std::pair(end, read_bytes(folder / "end.rung"));
  };
  const auto whole = train(folder / "whole", 100);
  CHECK(whole.first == nn::TrainingEnd::all_epochs);
  for (const std::int64_t stop : {2, 6, 8}) {
    CAPTURE(stop);
    const std::string path = folder / std::to_string(stop);
    const auto part = train(path, stop);
    CHECK(part.first == nn::TrainingEnd::stopped);
    CHECK(part.second != whole.second);
    CHECK(train(path, 100) == whole);
  }
}

TEST_CASE("patience ends a run that does not get better, and the best model is kept") {
  const TemporaryFolder folder;
  Process process({.folder = folder / "run", .best = folder / "best"});
  const std::vector<double> shares = {0.5, 0.7, 0.70001, 0.6};  // a tie: a ten-thousandth counts
  std::size_t epoch = 0;
  std::vector<std::vector<float>> values;
  nn::TrainerOptions options{.epochs = 9,
                             .validate =
                                 [&] {
                                   values.push_back(test::values(process.graph));
                                   return nn::Metrics{.top1 = shares.at(epoch++)};
                                 },
                             .patience = 2,
                             .checkpoints = &process.checkpoints};
  nn::Trainer trainer(process.executor, process.data, nn::cross_entropy, process.sgd, options);
  CHECK(trainer.run() == nn::TrainingEnd::patience);
  REQUIRE(trainer.epochs().size() == 4);
  CHECK(nn::best_epoch(trainer.epochs()) == 1);
  CHECK(test::values(io::load_model(folder / "best").graph) == values[1]);
  Process other({.folder = folder / "other", .best = folder / "x"});
  CHECK(message_of([&] { other.run(); }).find("need a validation") != std::string::npos);
}

TEST_CASE("checkpoints: the last few are kept, a damaged one is left aside, all go at the end") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  {
    Process first({.folder = path, .every = "2", .keep = 3});
    first.run(stopped_after(9));
    CHECK(files_in(path) == 3);  // 6, 8 and 9
    CHECK(first.checkpoints.newest() == path + "/step-000000009.rung");
  }
  CHECK(message_of([&] { Process({.folder = path}); }) ==
        path +
            " has checkpoints of a run that did not end: go on with CheckpointOptions::resume "
            "= \"auto\", or delete them");
  std::string bytes = read_bytes(path + "/step-000000009.rung");
  bytes[bytes.size() / 2] ^= 0x55;
  iotest::write_bytes(path + "/step-000000009.rung", bytes);
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  Process second({.folder = path, .resume = "auto", .on_warning = warn});
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].ends_with(": trying the one before"));
  CHECK(second.checkpoints.resumed_path() == path + "/step-000000008.rung");
  CHECK(second.run() == nn::TrainingEnd::all_epochs);
  second.checkpoints.finish();
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("checkpoints: settings that differ are refused by name, unless they are accepted") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  const nn::RunSettings settings{{"lr", "0.1"}, {"model", "net"}};
  {
    Process first({.folder = path, .settings = settings});
    first.checkpoints.set_note("top1_before", 12.5);
    first.run(stopped_after(1));
  }
  const auto told = [&](nn::RunSettings is) {
    return message_of(
        [&] { Process({.folder = path, .resume = "auto", .settings = std::move(is)}); });
  };
  const std::string begin =
      path + "/step-000000001.rung belongs to a run that was told something else: ";
  CHECK(told(settings) == "no Error");
  CHECK(told({{"lr", "0.2"}, {"model", "net"}}) == begin + "lr was 0.1, is 0.2");
  CHECK(told({{"lr", "0.1"}}) == begin + "model was net, is not given");
  CHECK(told({{"lr", "0.1"}, {"model", "net"}, {"seed", "1"}}) == begin + "seed was unknown, is 1");
  std::vector<std::string> asked;
  Process second({.folder = path,
                  .resume = "auto",
                  .settings = {{"lr", "0.3"}, {"model", "net"}},
                  .accepts = [&](const nn::SettingDifference& difference) {
                    asked.push_back(difference.name);
                    return true;
                  }});
  CHECK(asked == std::vector<std::string>{"lr"});
  CHECK(second.checkpoints.note("top1_before") == 12.5);
  CHECK(!second.checkpoints.note("other"));
}

TEST_CASE("a model that is not finite writes no checkpoint") {
  const TemporaryFolder folder;
  Process process({.folder = folder / "run", .every = "1"});
  nn::TrainerOptions options;
  options.on_progress = [&](const nn::Progress& progress) {
    if (progress.batch == 3)
      process.graph.parameters()[0]->edit().data()[0] = std::numeric_limits<float>::quiet_NaN();
  };
  CHECK(message_of([&] { process.run(options); }).find("try a lower learning rate") !=
        std::string::npos);
  CHECK(process.checkpoints.newest() == folder / "run/step-000000002.rung");
}

TEST_CASE("callbacks: order, what a watch finds, and each epoch's figures") {
  const TemporaryFolder folder;
  Process process({.folder = folder / "run"});
  std::string order;
  std::vector<std::string> warnings;
  const auto end =
      process.run({.validate =
                       [&] {
                         order += 'v';
                         return nn::evaluate(process.executor, process.held_out);
                       },
                   .watch = [&] { return std::vector<std::string>{"look"}; },
                   .watch_every = 4,
                   .before_epoch = [&](std::int64_t epoch) { order += std::to_string(epoch); },
                   .after_backward = [&](std::int64_t) { order += 'b'; },
                   .on_progress = [&](const nn::Progress&) { order += 's'; },
                   .on_warning = [&](const std::string& text) { warnings.push_back(text); },
                   .on_epoch =
                       [&](std::int64_t epoch, const nn::EpochFigures& figures) {
                         order += 'e';
                         CHECK(figures.lr == doctest::Approx(nn::CosineAnnealingLR{.t_max = 3}(
                                                 0.05, static_cast<double>(epoch))));
                         CHECK(figures.top1_validation.has_value());
                       }});
  CHECK(end == nn::TrainingEnd::all_epochs);
  const std::string epoch = "bsbsbsbsbsbsve";
  CHECK(order == "0" + epoch + "1" + epoch + "2" + epoch);
  CHECK(warnings.size() == 6);  // after 4 steps and at the end of each epoch
}

TEST_CASE("intervals: what they mean and what is none") {
  nn::IntervalTimer steps("3"), epochs("epoch"), minutes("10m");
  CHECK((!steps.is_due(2) && steps.is_due(3)));
  CHECK((!epochs.is_due(3) && !minutes.is_due(3)));
  for (const char* wrong : {"", "m", "0", "5x", "-1", "1.5m", "epochs", "1234567890"}) {
    CHECK_MESSAGE(!nn::check_interval(wrong).empty(), wrong);
    CHECK_THROWS_AS(nn::IntervalTimer{wrong}, Error);
  }
}

TEST_SUITE_END();
