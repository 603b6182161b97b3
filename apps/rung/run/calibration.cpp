#include "run/calibration.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "console/interrupt.h"
#include "run/section.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/io/output_file.h"

namespace rung::cli {
namespace {

constexpr const char* kSection = "calibration";
constexpr const char* kEstimators = "estimators";

}  // namespace

void add_checkpoint_options(Command& command, CalibrationCheckpointOptions& options) {
  command.group("Checkpoints");
  command.option("--checkpoint-every WHEN", options.every,
                 "when to save the calibration, as OUT.calibration: never, batches (20) or "
                 "minutes (1m)",
                 check_interval);
  command.flag("--resume", options.resume,
               "go on with an interrupted calibration, if there is one");
}

CalibrationRun::CalibrationRun(const CalibrationCheckpointOptions& options, const std::string& out,
                               const Configuration& configuration, const Console& console)
    : options_(options), path_(out + ".calibration"), configuration_(storable(configuration)) {
  io::remove_unfinished(path_);
  io::check_can_write(path_);  // before there is something to lose
  if (!std::filesystem::exists(path_)) return;
  if (!options.resume)
    throw Error(fmt::format(
        "{} is a calibration that did not end: go on with --resume, or delete it", path_));
  load(console);
}

void CalibrationRun::load(const Console& console) {
  io::ModelFile file = io::load_model(path_);
  const auto was = read_section(file, kSection, path_, [&](const nlohmann::json& json) {
    batches_ = integer(json, "batches", 0, std::numeric_limits<std::int64_t>::max());
    if (json.contains("top1_float")) top1_float_ = json.at("top1_float").get<double>();
    estimators_ = file.sections.at(kEstimators);
    return json.at("configuration").get<Configuration>();
  });
  check_same(was, configuration_, path_);
  console.line(fmt::format("going on from {}: batch {}", path_, batches_));
}

void CalibrationRun::save(QuantizationSimModel& sim, std::int64_t batches) const {
  nlohmann::json json = {{"configuration", configuration_}, {"batches", batches}};
  if (top1_float_) json["top1_float"] = *top1_float_;
  // The model is not in it: the next run makes the same one anew.
  io::save_model(path_, Graph(),
                 {.sections = {{kSection, json.dump()}, {kEstimators, calibration_state(sim)}},
                  .tensors = {}});
}

void CalibrationRun::calibrate(QuantizationSimModel& sim, nn::DataLoader& loader) {
  sim.compute_encodings([&](Executor& executor) {
    if (!estimators_.empty()) {
      load_calibration_state(sim, estimators_);
      if (batches_ >= loader.size()) return;
      nn::DataLoaderState position = loader.state();
      position.batch = batches_;
      loader.load_state(position);
    }
    IntervalTimer timer(options_.every);
    ProgressBar bar("calibration");
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    nn::Progress progress{.batch = loader.state().batch, .batches = loader.size(), .metrics = {}};
    for (const nn::Batch& batch : loader) {
      (void)executor.forward(batch.images, Mode::eval);
      ++progress.batch;
      progress.metrics.images += batch.size();
      progress.metrics.seconds = std::chrono::duration<double>(Clock::now() - start).count();
      bar.update(progress);
      const std::string signal = interrupted_by();
      if (timer.is_due(progress.batch) || !signal.empty()) save(sim, progress.batch);
      if (!signal.empty())
        throw Interrupted(fmt::format("stopped by {} after batch {}: go on with --resume", signal,
                                      progress.batch));
    }
  });
}

void CalibrationRun::finish() {
  std::error_code error;
  std::filesystem::remove(path_, error);
}

}  // namespace rung::cli
