#pragma once

#include <cstdint>
#include <string>

#include "console/command.h"
#include "console/console.h"
#include "rung/nn/checkpoints.h"
#include "rung/nn/run_settings.h"
#include "rung/quantsim/calibration.h"

// How runs of the command line save themselves, and are told to go on.

namespace rung::cli {

/// When a run of training saves itself, and what it goes on from.
struct CheckpointOptions {
  std::string every = "epoch";
  std::int64_t keep = 2;
  std::string resume = {};  ///< a file, "auto", or empty
  bool keep_best = false;   ///< by the validation images
};
void add_checkpoint_options(Command& command, CheckpointOptions& options);

/// When a calibration saves itself, and whether it goes on from that.
struct CalibrationCheckpointOptions {
  std::string every = "1m";
  bool resume = false;
};
void add_checkpoint_options(Command& command, CalibrationCheckpointOptions& options);

/// What messages tell people to do with checkpoints, and with what a calibration has left.
inline constexpr const char* kHowToResume = "go on with --resume auto";
inline constexpr const char* kHowToResumeCalibration = "go on with --resume";

/// Returns how training saves itself, in OUT.checkpoints, OUT.best; what is odd is warned of.
nn::CheckpointOptions checkpoints_of(const CheckpointOptions& options, const std::string& out,
                                     const nn::RunSettings& settings);
/// Returns how a calibration saves itself, in OUT.calibration; a signal stops it.
quantsim::CalibrationRunOptions calibration_of(const CalibrationCheckpointOptions& options,
                                               const std::string& out,
                                               const nn::RunSettings& settings);

/// Says where a run goes on, if it does.
void tell_resumed(const nn::Checkpoints& checkpoints, const Console& console);

}  // namespace rung::cli
