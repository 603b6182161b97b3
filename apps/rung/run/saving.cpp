#include "run/saving.h"

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
/// It may also go on from a file of an earlier version, which says less.
nn::AcceptDifference acceptance(const Settings& settings) {
  return [later = settings.later](const nn::SettingDifference& difference) {
    if (!difference.was && later.contains(difference.name)) return true;
    if (difference.name != "--threads" || !difference.is) return false;
    warn(
        fmt::format("{} was written with {} threads, this run has {}: the last bits of the result "
                    "may differ from an uninterrupted run's",
                    difference.file, difference.was.value_or("unknown"), *difference.is));
    return true;
  };
}

std::string folder_of(const std::string& out) { return out + ".checkpoints"; }
std::string best_of(const std::string& out) { return out + ".best"; }
std::string calibration_file_of(const std::string& out) { return out + ".calibration"; }

}  // namespace

std::vector<std::string> files_beside(const std::string& out, const CheckpointOptions& options,
                                      bool keeps_best) {
  std::vector<std::string> files = {folder_of(out)};
  if (options.keep_best || keeps_best) files.push_back(best_of(out));
  return files;
}

std::vector<std::string> files_beside(const std::string& out, const CalibrationCheckpointOptions&) {
  return {calibration_file_of(out)};
}

nn::CheckpointOptions checkpoints_of(const CheckpointOptions& options, const std::string& out,
                                     const Settings& settings) {
  return {.folder = folder_of(out),
          .every = options.every,
          .keep = options.keep,
          .best = options.keep_best ? best_of(out) : std::string(),
          .resume = options.resume,
          .settings = storable(settings.values),
          .accepts = acceptance(settings),
          .on_warning = [](const std::string& message) { warn(message); },
          .how_to_resume = kHowToResume,
          .written_by = "rung train or qat"};
}

quantsim::CalibrationRunOptions calibration_of(const CalibrationCheckpointOptions& options,
                                               const std::string& out, const Settings& settings) {
  return {.file = calibration_file_of(out),
          .every = options.every,
          .resume = options.resume,
          .settings = storable(settings.values),
          .accepts = acceptance(settings),
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
