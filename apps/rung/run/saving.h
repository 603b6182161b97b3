#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "console/command.h"
#include "console/console.h"
#include "run/settings.h"
#include "rung/nn/checkpoints.h"
#include "rung/quantsim/calibration.h"

// How runs of the command line save themselves, and are told to go on.

namespace rung::cli {

/// When a run of training saves itself, and what it goes on from.
struct CheckpointOptions {
  std::string every = "epoch";
  std::int64_t keep = 2;
  std::string resume = {};  ///< a file, "auto", or empty
  bool keep_best = false;   ///< by the validation images

  template <typename V>
  void visit(V& v) {
    v.group("Checkpoints");
    v.option("--checkpoint-every WHEN", every,
             "when to save, in OUT.checkpoints: epoch, never, steps (500) or minutes (10m)",
             nn::check_interval);
    v.option("--checkpoints N", keep, "how many of them to keep", between(1, 1e6));
    v.option("--resume FILE", resume,
             "go on from a checkpoint; auto: from the newest, if there is one");
    v.flag("--keep-best", keep_best,
           "also keep the model of the epoch that was best on the validation images, as "
           "OUT.best",
           affects_result_if_given);
  }
};

/// When a calibration saves itself, and whether it goes on from that.
struct CalibrationCheckpointOptions {
  std::string every = "1m";
  bool resume = false;

  template <typename V>
  void visit(V& v) {
    v.group("Checkpoints");
    v.option("--checkpoint-every WHEN", every,
             "when to save the calibration, as OUT.calibration: never, batches (20) or "
             "minutes (1m)",
             nn::check_interval);
    v.flag("--resume", resume, "go on with an interrupted calibration, if there is one");
  }
};

/// What messages tell people to do with checkpoints, and with what a calibration has left.
inline constexpr const char* kHowToResume = "go on with --resume auto";
inline constexpr const char* kHowToResumeCalibration = "go on with --resume";

/// Returns what a run writes beside the model: the folder of its checkpoints, and the best model if
/// that is kept; what a calibration writes.
std::vector<std::string> files_beside(const std::string& out, const CheckpointOptions& options,
                                      bool keeps_best);
std::vector<std::string> files_beside(const std::string& out, const CalibrationCheckpointOptions&);

/// Returns how training saves itself, in OUT.checkpoints, OUT.best; what is odd is warned of.
nn::CheckpointOptions checkpoints_of(const CheckpointOptions& options, const std::string& out,
                                     const Settings& settings);
/// Returns how a calibration saves itself, in OUT.calibration; a signal stops it.
quantsim::CalibrationRunOptions calibration_of(const CalibrationCheckpointOptions& options,
                                               const std::string& out, const Settings& settings);

/// Says where a run goes on, if it does.
void tell_resumed(const nn::Checkpoints& checkpoints, const Console& console);

}  // namespace rung::cli
