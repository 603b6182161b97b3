#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "rung/core/export.h"
#include "rung/nn/data.h"
#include "rung/nn/run_settings.h"
#include "rung/nn/train.h"
#include "rung/quantsim/quantsim.h"

namespace rung::quantsim {

struct CalibrationRunOptions {
  std::string file = {};     ///< what was seen so far is kept in it until finish()
  std::string every = "1m";  ///< when to save: never, batches (20) or minutes (1m); or when stopped
  bool resume = false;       ///< go on from the file, if it is there
  nn::RunSettings settings = {};
  nn::AcceptDifference accepts = {};  ///< which settings may differ; default: none
  CalibrationOptions encodings = {};  ///< of compute_encodings()
  std::function<bool()> stop = {};    ///< asked after every batch: true saves and ends the run
  std::function<void(const nn::Progress& progress)> on_progress = {};
  /// What messages tell people to do.
  std::string how_to_resume = "go on with CalibrationRunOptions::resume";
};

/// A calibration that can be interrupted between any two batches, or killed: with the same sim and
/// loader another process goes on and finds the same encodings. It prints nothing and handles no
/// signals.
class RUNG_API Calibration {
 public:
  /// Reads what there is to go on from. Throws Error if that is damaged or its settings differ, if
  /// it is there but the options do not ask for it, and if the file cannot be written.
  explicit Calibration(CalibrationRunOptions options);

  /// Returns how many batches an earlier run has seen, or nothing if there was none.
  std::optional<std::int64_t> resumed_batches() const { return resumed_batches_; }

  /// Returns a number that the program has kept in the file, or nothing.
  std::optional<double> note(const std::string& name) const;
  /// Keeps a number in the file, the next time it is written. Throws Error if the name is taken.
  void set_note(const std::string& name, double value);

  /// Runs the loader's images through the sim, those that are still to come, and computes its
  /// encodings. Returns false if it was stopped: what was seen is in the file then, and the sim as
  /// before. Throws Error as compute_encodings() does.
  bool run(QuantizationSimModel& sim, nn::DataLoader& loader);
  /// Returns how many batches were seen so far.
  std::int64_t batches() const { return batches_; }

  /// Removes the file: what the encodings are for is complete.
  void finish();

 private:
  void load();
  void save(QuantizationSimModel& sim) const;
  void see(QuantizationSimModel& sim, nn::DataLoader& loader, Executor& executor);

  CalibrationRunOptions options_;
  std::map<std::string, double> notes_;
  std::string estimators_;  // empty: nothing seen yet
  std::int64_t batches_ = 0;
  std::optional<std::int64_t> resumed_batches_;
};

}  // namespace rung::quantsim
