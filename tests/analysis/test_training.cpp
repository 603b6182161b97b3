// Records of training: what they say, that they change nothing, and that they outlive a kill.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "analysis/code_watch.h"
#include "analysis/training_columns.h"
#include "rung/analysis/training_recorder.h"
#include "rung/nn/trainer.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quantsim/quantsim.h"
#include "support/io_helpers.h"
#include "support/message_of.h"
#include "support/quantsim_net.h"
#include "support/training_helpers.h"

using namespace rung;
using iotest::TemporaryFolder;

namespace {

constexpr std::int64_t kBatches = 6;

std::shared_ptr<const nn::Dataset> images() { return test::columns(44, {2, 6, 6}); }

/// What one process does: the small network with learned ranges, trained for three epochs.
struct Process {
  explicit Process(nn::CheckpointOptions options)
      : checkpoints(std::move(options)), sim(start(checkpoints)) {}

  static QuantizationSimModel start(nn::Checkpoints& checkpoints) {
    if (std::optional<io::ModelFile> file = checkpoints.take_resumed())
      return load_checkpoint(std::move(*file), "checkpoint");
    return calibrated({.quant_scheme = QuantScheme::training_range_learning_with_tf_init,
                       .default_output_bw = 8,
                       .default_param_bw = 4});
  }

  nn::TrainingEnd run(nn::TrainerOptions options = {}) {
    options.epochs = 3;
    options.schedule = nn::CosineAnnealingLR{.t_max = 3};
    options.checkpoints = &checkpoints;
    options.save = [this](const std::string& path, io::ModelExtras extras) {
      save_checkpoint(sim, path, std::move(extras));
    };
    if (recorder) recorder->listen_to(options);
    nn::Trainer trainer(sim.executor(), data, nn::cross_entropy, sgd, std::move(options));
    return trainer.run();
  }
  void record(analysis::RecorderOptions options = {}) {
    recorder.emplace(sim.executor(), sgd, options);
  }
  /// All of the record but what depends on the clock.
  analysis::TrainingRecord recorded() const {
    analysis::TrainingRecord copy = recorder->record();
    for (double& seconds : copy.epochs.seconds) seconds = 0.0;
    return copy;
  }

  nn::Checkpoints checkpoints;
  QuantizationSimModel sim;
  nn::DataLoader data{{.dataset = images(), .batch_size = 8, .shuffle = true}, Rng(8)};
  nn::DataLoader held_out{{.dataset = images(), .batch_size = 11}};
  nn::Sgd sgd{sim.graph().parameters(), {.lr = 0.05, .momentum = 0.9}};
  std::optional<analysis::TrainingRecorder> recorder;
};

nn::TrainerOptions stopped_after(std::int64_t steps) {
  const auto done = std::make_shared<std::int64_t>(0);
  return {.stop = [done, steps] { return *done >= steps; },
          .on_progress = [done](const nn::Progress&) { ++*done; }};
}

/// The record of a whole run, and folders that outlive it.
analysis::TrainingRecord whole_record(const analysis::RecorderOptions& options = {}) {
  const TemporaryFolder folder;
  Process process({.folder = folder / "run", .every = "never"});
  process.record(options);
  process.run();
  return process.recorded();
}

std::string refused(const std::string& text) {
  return message_of([&] { (void)analysis::training_record_from_json(text, "file.json"); });
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_SUITE_BEGIN("analysis: training");

TEST_CASE("recording changes nothing that is trained") {
  const TemporaryFolder folder;
  Process plain({.folder = folder / "a", .every = "never"});
  Process recorded({.folder = folder / "b", .every = "never"});
  recorded.record();
  plain.run();
  recorded.run();
  CHECK(test::values(plain.sim.graph()) == test::values(recorded.sim.graph()));
}

TEST_CASE("a record says what each step did") {
  const TemporaryFolder folder;
  Process process({.folder = folder / "run", .every = "never"});
  process.record();
  std::vector<double> losses, top1, norms, lr, range_max, range_norms;
  std::vector<std::vector<std::int32_t>> codes;
  const QuantizerHandle weight = process.sim.quantizer("conv1.weight");
  const QuantizerHandle output = process.sim.quantizer("relu1");
  nn::Metrics before;
  nn::TrainerOptions options;
  options.after_backward = [&](std::int64_t) {
    norms.push_back(nn::clip_grad_norm(process.sim.graph().parameters(), 1e30));
    lr.push_back(process.sgd.lr());
    range_max.push_back(output.ranges().at(0).max);
    double squares = 0.0;
    for (Parameter* parameter : output.parameters())
      for (const float g : parameter->grad().data()) squares += double{g} * g;
    range_norms.push_back(std::sqrt(squares));
    const ConstTensor& w = weight.source().parameter()->value();
    codes.push_back(quantize(w.data(), w.shape(), weight.encoding()));
  };
  options.on_progress = [&](const nn::Progress& progress) {
    if (progress.batch == 1) before = {};
    const auto images = static_cast<double>(progress.metrics.images - before.images);
    losses.push_back((progress.metrics.loss_sum - before.loss_sum) / images);
    top1.push_back(static_cast<double>(progress.metrics.correct - before.correct) / images);
    before = progress.metrics;
  };
  options.validate = [&] { return nn::evaluate(process.sim.executor(), process.held_out); };
  process.run(options);
  const analysis::TrainingRecord record = process.recorded();
  REQUIRE(record.steps.size() == 3 * kBatches);
  CHECK(record.steps.front() == 1);
  CHECK(record.steps.back() == 3 * kBatches);
  CHECK(record.steps_per_point == 1);
  CHECK(record.loss == losses);
  CHECK(record.top1 == top1);
  CHECK(record.lr == lr);
  CHECK(record.gradient_norm == norms);
  CHECK(record.ranges.at("relu1").learned);
  CHECK(record.ranges.at("relu1").max == range_max);
  CHECK(record.ranges.at("relu1").gradient_norm == range_norms);
  CHECK(record.weight_gradient_norms.contains("fc.weight"));
  CHECK(record.weight_gradient_norms.size() == 4);
  CHECK(!record.codes.contains("relu1"));
  const analysis::CodeHistory& history = record.codes.at("conv1.weight");
  CHECK(history.weights == static_cast<std::int64_t>(codes[0].size()));
  double flips_in_all = 0;
  for (std::size_t step = 1; step < codes.size(); ++step) {
    double flips = 0;
    for (std::size_t i = 0; i < codes[step].size(); ++i)
      flips += codes[step][i] != codes[step - 1][i];
    CHECK(history.flips[step] == flips / static_cast<double>(codes[step].size()));
    flips_in_all += flips;
  }
  CHECK(flips_in_all > 0);
  CHECK(record.epochs.step == std::vector<std::int64_t>{6, 12, 18});
  CHECK(record.epochs.top1_validation.size() == 3);
}

TEST_CASE("a run that is stopped after any step goes on with its record") {
  for (const std::int64_t max_points : {256, 4}) {
    const std::string whole = analysis::to_json(whole_record({.max_points = max_points}));
    for (const std::int64_t stop : {1, 4, 6, 7, 11, 18}) {
      CAPTURE(stop);
      const TemporaryFolder folder;
      {
        Process first({.folder = folder / "run", .every = "never"});
        first.record({.max_points = max_points});
        CHECK(first.run(stopped_after(stop)) == nn::TrainingEnd::stopped);
      }
      Process second({.folder = folder / "run", .every = "never", .resume = "auto"});
      second.record({.max_points = max_points});
      CHECK(second.run() == nn::TrainingEnd::all_epochs);
      CHECK(analysis::to_json(second.recorded()) == whole);
    }
  }
}

TEST_CASE("a run that goes on from one that was not recorded is recorded from there") {
  const TemporaryFolder folder;
  {
    Process first({.folder = folder / "run", .every = "never"});
    first.run(stopped_after(8));
  }
  Process second({.folder = folder / "run", .every = "never", .resume = "auto"});
  second.record();
  second.run();
  const analysis::TrainingRecord record = second.recorded();
  CHECK(record.first_step == 9);
  CHECK(record.steps.front() == 9);
  CHECK(record.steps.back() == 18);
  CHECK(record.loss.front() == doctest::Approx(whole_record().loss[8]).epsilon(1e-9));
}

TEST_CASE("however long a run is, its record is short") {
  const analysis::TrainingRecord all = whole_record();
  const analysis::TrainingRecord few = whole_record({.max_points = 4});
  CHECK(few.steps_per_point == 8);
  CHECK(few.steps == std::vector<std::int64_t>{8, 16, 18});
  CHECK(analysis::columns_of(few) == analysis::columns_of(all));
  const auto mean = [&](const std::vector<double>& column, std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += column[i];
    return sum / static_cast<double>(end - begin);
  };
  const std::size_t ends[] = {0, 8, 16, 18};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(few.loss[i] == doctest::Approx(mean(all.loss, ends[i], ends[i + 1])).epsilon(1e-12));
    const auto& flips = all.codes.at("fc.weight").flips;
    CHECK(few.codes.at("fc.weight").flips[i] ==
          doctest::Approx(mean(flips, ends[i], ends[i + 1])).epsilon(1e-12));
    CHECK(few.lr[i] == all.lr[ends[i + 1] - 1]);
    CHECK(few.ranges.at("relu1").max[i] == all.ranges.at("relu1").max[ends[i + 1] - 1]);
  }
}

TEST_CASE("codes that go to and fro oscillate, codes that stay are frozen") {
  QuantizationSimModel sim = calibrated({.default_param_bw = 4});
  QuantizerHandle quantizer = sim.quantizer("fc.weight");
  Parameter& weight = *quantizer.source().parameter();
  weight.edit().fill(0.0f);
  quantizer.set_range({-8.0f, 7.0f});  // steps of 1
  analysis::CodeWatch watch(quantizer, 1'000'000);
  const auto n = static_cast<double>(watch.weights());
  const auto look = [&](float to_and_fro, float rising) {
    weight.edit().data()[0] = to_and_fro;
    weight.edit().data()[5] = rising;
    return watch.look();
  };
  // The first change has none before it; what rises further does not oscillate.
  for (const auto& [a, b, flips, oscillating] :
       std::vector<std::tuple<float, float, double, double>>{
           {0, 0, 0, 0}, {1, 1, 2, 0}, {1, 1, 0, 0}, {0, 2, 2, 1}, {0, 2, 0, 1}, {1, 3, 2, 1}}) {
    const analysis::CodeWatch::Shares shares = look(a, b);
    CHECK(shares.flipped == flips / n);
    CHECK(shares.oscillating == oscillating / n);
    CHECK(shares.frozen == 0.0);
  }
  // The frequency was 0.01 * 0.99^2 + 0.01; it falls below 0.005 after 137 steps more.
  int steps = 0;
  while (look(1, 3).oscillating > 0) ++steps;
  CHECK(steps == static_cast<int>(std::log(0.005 / (0.01 * 0.99 * 0.99 + 0.01)) / std::log(0.99)));
  CHECK(look(1, 3).frozen == 1.0);
  CHECK(look(1, 4).frozen == (n - 1) / n);
  // Every third number.
  CHECK(analysis::CodeWatch(quantizer, (watch.weights() + 2) / 3).weights() ==
        (watch.weights() + 2) / 3);
}

TEST_CASE("the JSON of a record is not trusted") {
  const analysis::TrainingRecord record = whole_record();
  const std::string text = analysis::to_json(record);
  CHECK(analysis::training_record_from_json(text) == record);
  CHECK(refused(text) == "no Error");
  const auto says = [&](const std::string& changed, const std::string& words) {
    const std::string message = refused(changed);
    CHECK_MESSAGE(message.find(words) != std::string::npos, message);
    CHECK(message.starts_with("file.json: "));
  };
  says(text.substr(0, text.size() / 2), "");
  says("[]", "");
  says(with(text, "\"rung_training\":1", "\"rung_training\":2"), "rung_training must be 1");
  says(with(text, "\"rung_training\"", "\"extra\":0,\"rung_training\""), "extra is an unknown key");
  says(with(text, "\"steps\":[1,2,", "\"steps\":[2,1,"), "steps has 1 behind 2");
  says(with(text, "\"steps\":[1,2,", "\"steps\":[1,"), "numbers for 17 steps");
  says(with(text, "\"steps_per_point\":1,\"top1\":[0.", "\"steps_per_point\":1,\"top1\":[7.0"),
       "top1 has 7");
  says(with(text, "\"flips\":[0.0,", "\"flips\":[-1.0,"), "not in 0 .. 1");
  says(with(text, "\"first_step\":1", "\"first_step\":0"), "first_step is 0");
  says(with(text, "\"learned\":true", "\"learned\":false"), "is not learned and has gradients");
}

TEST_SUITE_END();
