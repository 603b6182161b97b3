#pragma once

#include <optional>
#include <string>

#include "console/console.h"
#include "run/checkpoints.h"
#include "rung/nn/data.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

/// When a calibration saves itself, and whether it goes on from that.
struct CalibrationCheckpointOptions {
  std::string every = "1m";
  bool resume = false;
};
void add_checkpoint_options(Command& command, CalibrationCheckpointOptions& options);

/// A calibration that can be interrupted: what its estimators have seen is kept in the file
/// OUT.calibration until it has ended.
class CalibrationRun {
 public:
  /// Reads what there is to go on from. Throws Error if that is damaged or of a run with another
  /// configuration, and if it is there but the options do not ask for it.
  CalibrationRun(const CalibrationCheckpointOptions& options, const std::string& out,
                 const Configuration& configuration, const Console& console);

  /// The accuracy that was measured before the interruption.
  std::optional<double> top1_float() const { return top1_float_; }
  void set_top1_float(double top1) { top1_float_ = top1; }
  /// Runs the loader's images through the sim, those that are still to come. Throws Interrupted,
  /// with everything saved, after a signal.
  void calibrate(QuantizationSimModel& sim, nn::DataLoader& loader);
  /// Removes the file: the run is complete.
  void finish();

 private:
  void load(const Console& console);
  void save(QuantizationSimModel& sim, std::int64_t batches) const;

  CalibrationCheckpointOptions options_;
  std::string path_;
  Configuration configuration_;
  std::optional<double> top1_float_;
  std::string estimators_;  // empty: nothing seen yet
  std::int64_t batches_ = 0;
};

}  // namespace rung::cli
