#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/io/model_file.h"
#include "rung/nn/interval.h"
#include "rung/nn/run_settings.h"
#include "rung/nn/training_state.h"

namespace rung::nn {

/// Figures of one finished epoch. Accuracies are shares in [0, 1], rounded to a hundredth of a
/// percent: what is shown is what is compared.
struct EpochFigures {
  double loss = 0, top1 = 0;        ///< of the training images, while the network changed
  std::optional<double> top5 = {};  ///< of more than five classes
  /// If there was a validation.
  std::optional<double> loss_validation = {}, top1_validation = {}, top5_validation = {};
  double seconds = 0;       ///< of training and validation
  double lr = 0;            ///< of the first group, at the start of the epoch
  double images_per_s = 0;  ///< of training
};

/// Returns the epoch, from 0, with the best validation, the first of several; nothing if there is
/// none.
RUNG_API std::optional<std::size_t> best_epoch(const std::vector<EpochFigures>& epochs);

/// What a checkpoint knows beside the model.
struct RunState {
  TrainingState training = {};
  std::vector<EpochFigures> epochs = {};  ///< those that have ended
  io::ModelExtras kept = {};              ///< what the program needs to go on
};

/// The section of a checkpoint that records its run: settings, figures and notes. Nothing that a
/// run computes depends on it.
inline constexpr const char* kRunSection = "run";

/// Writes a model with further sections and tensors to a path.
using SaveModel = std::function<void(const std::string& path, io::ModelExtras extras)>;

struct CheckpointOptions {
  std::string folder = {};  ///< of step-N.rung; is made when it is needed, and removed at the end
  std::string every = kEveryEpoch;  ///< when to save, see check_interval(); or when told to stop
  std::int64_t keep = 2;            ///< the last so many are kept
  std::string best = {};    ///< file for the model of the best epoch, see best_epoch(); empty: none
  std::string resume = {};  ///< a file to go on from; "auto": the newest, if there is one
  RunSettings settings = {};
  AcceptDifference accepts = {};  ///< which settings may differ; default: none
  std::function<void(const std::string& message)> on_warning = {};  ///< a damaged one, left aside
  /// What messages tell people to do, and where such checkpoints come from.
  std::string how_to_resume = "go on with CheckpointOptions::resume = \"auto\"";
  std::string written_by = "nn::Checkpoints";
};

/// The checkpoints of a run: model files step-N.rung in a folder, of which the last few are kept.
/// They appear complete or not at all, and are removed when the run has ended well.
class RUNG_API Checkpoints {
 public:
  /// Opens what the options say to go on from; if the newest is damaged, the one before. Throws
  /// Error if none can be read or its settings differ, if there are checkpoints but nothing was
  /// said about them, and if none can be written.
  explicit Checkpoints(CheckpointOptions options);
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  /// Returns the file to go on from, once; nothing if the run begins anew.
  std::optional<io::ModelFile> take_resumed();
  /// Returns its path; empty if the run begins anew.
  const std::string& resumed_path() const { return resumed_path_; }
  /// Returns what it knew beside the model.
  const RunState& resumed_state() const { return resumed_state_; }

  /// Returns a number that the program has kept in its checkpoints, or nothing.
  std::optional<double> note(const std::string& name) const;
  /// Keeps a number in all checkpoints from now on. Throws Error if the name is taken.
  void set_note(const std::string& name, double value);

  /// True if it is time to save, after so many steps in all.
  bool is_due(std::int64_t step) { return timer_.is_due(step); }
  /// Writes step-N.rung with `save`, unless it was the last to be written, and removes old ones.
  void write(const RunState& state, std::int64_t step, const SaveModel& save);
  /// Does what is due at the end of an epoch, the last of state.epochs: keeps the best model, and
  /// writes a checkpoint if there is to be one after each epoch.
  void end_epoch(const RunState& state, std::int64_t step, const SaveModel& save);

  /// Returns the path of the newest one that this run has written or gone on from, or nothing.
  std::string newest() const;
  /// Returns the file of the best model; empty if it is not kept.
  const std::string& best() const { return options_.best; }
  /// Removes the checkpoints: their run is complete.
  void finish();

 private:
  void find();
  void load(const std::string& path);

  CheckpointOptions options_;
  IntervalTimer timer_;
  std::map<std::string, double> notes_;
  RunState resumed_state_;
  std::optional<io::ModelFile> resumed_;
  std::string resumed_path_;
  std::int64_t written_ = -1;  // step of the newest
};

}  // namespace rung::nn
