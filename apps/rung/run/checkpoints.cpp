#include "run/checkpoints.h"

#include <fmt/format.h>

#include "console/interrupt.h"
#include "console/messages.h"
#include "console/utf8.h"

namespace rung::cli {
namespace {

/// Returns settings as they can be stored: names of files need not be UTF-8.
nn::RunSettings storable(nn::RunSettings settings) {
  for (auto& [name, value] : settings) value = to_utf8(value);
  return settings;
}

/// A run may go on with another number of threads; only the last bits of its result depend on it.
bool are_only_threads(const nn::SettingDifference& difference) {
  if (difference.name != "--threads" || !difference.is) return false;
  warn(
      fmt::format("{} was written with {} threads, this run has {}: the last bits of the result "
                  "may differ from an uninterrupted run's",
                  difference.file, difference.was.value_or("unknown"), *difference.is));
  return true;
}

}  // namespace

void add_checkpoint_options(Command& command, CheckpointOptions& options) {
  command.group("Checkpoints");
  command.option("--checkpoint-every WHEN", options.every,
                 "when to save, in OUT.checkpoints: epoch, never, steps (500) or minutes (10m)",
                 nn::check_interval);
  command.option("--checkpoints N", options.keep, "how many of them to keep", between(1, 1e6));
  command.option("--resume FILE", options.resume,
                 "go on from a checkpoint; auto: from the newest, if there is one");
  command.flag("--keep-best", options.keep_best,
               "also keep the model of the epoch that was best on the validation images, as "
               "OUT.best");
}

void add_checkpoint_options(Command& command, CalibrationCheckpointOptions& options) {
  command.group("Checkpoints");
  command.option("--checkpoint-every WHEN", options.every,
                 "when to save the calibration, as OUT.calibration: never, batches (20) or "
                 "minutes (1m)",
                 nn::check_interval);
  command.flag("--resume", options.resume,
               "go on with an interrupted calibration, if there is one");
}

nn::CheckpointOptions checkpoints_of(const CheckpointOptions& options, const std::string& out,
                                     const nn::RunSettings& settings) {
  return {.folder = out + ".checkpoints",
          .every = options.every,
          .keep = options.keep,
          .best = options.keep_best ? out + ".best" : std::string(),
          .resume = options.resume,
          .settings = storable(settings),
          .accepts = are_only_threads,
          .on_warning = [](const std::string& message) { warn(message); },
          .how_to_resume = kHowToResume,
          .written_by = "rung train or qat"};
}

quantsim::CalibrationRunOptions calibration_of(const CalibrationCheckpointOptions& options,
                                               const std::string& out,
                                               const nn::RunSettings& settings) {
  return {.file = out + ".calibration",
          .every = options.every,
          .resume = options.resume,
          .settings = storable(settings),
          .accepts = are_only_threads,
          .stop = is_interrupted,
          .how_to_resume = kHowToResumeCalibration};
}

void tell_resumed(const nn::Checkpoints& checkpoints, const Console& console) {
  if (checkpoints.resumed_path().empty()) return;
  const nn::DataLoaderState& at = checkpoints.resumed_state().training.data;
  console.line(fmt::format("going on from {}: epoch {}, batch {}", checkpoints.resumed_path(),
                           at.epoch + 1, at.batch));
}

}  // namespace rung::cli
