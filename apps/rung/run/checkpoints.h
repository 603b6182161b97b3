#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "console/command.h"
#include "console/console.h"
#include "run/run_record.h"
#include "rung/io/model_file.h"
#include "rung/nn/checkpoint.h"

namespace rung::cli {

/// When a run saves itself, and what it goes on from.
struct CheckpointOptions {
  std::string every = "epoch";
  std::int64_t keep = 2;
  std::string resume = {};  ///< a file, "auto", or empty
  bool keep_best = false;   ///< by the validation images
};
void add_checkpoint_options(Command& command, CheckpointOptions& options);

/// Figures of one finished epoch.
struct EpochFigures {
  double loss = 0, top1_train = 0;
  std::optional<double> top1_val = {};  ///< if there are validation images
  double seconds = 0, lr = 0, images_per_s = 0;
};

/// Returns the epoch, from 0, with the best validation, the first of several; nothing if there is
/// none.
std::optional<std::size_t> best_epoch(const std::vector<EpochFigures>& epochs);

/// What a checkpoint of the command line knows beside the model.
struct Session {
  nn::TrainingState state = {};
  std::vector<EpochFigures> epochs = {};
  std::optional<double> top1_before = {};
};

/// The section of a checkpoint that records its run.
inline constexpr const char* kRunSection = "run";

/// Writes a model with further sections to a path.
using SaveModel = std::function<void(const std::string& path, io::ModelExtras extras)>;

/// The checkpoints of a run: OUT.checkpoints/step-N.rung, of which the last few are kept. When the
/// run has ended well they are removed.
class Checkpoints {
 public:
  /// Opens what the options say to go on from. Throws Error if that is damaged or of a run with
  /// another configuration, and if there are checkpoints but nothing was said about them.
  Checkpoints(const CheckpointOptions& options, const std::string& out,
              const Configuration& configuration, const Console& console);

  /// Returns the file to go on from, once; its Session is session().
  std::optional<io::ModelFile> take_resumed();
  const std::string& resumed_path() const { return resumed_path_; }
  const Session& session() const { return session_; }
  void set_top1_before(double top1) { session_.top1_before = top1; }

  /// To be called between two steps: writes a checkpoint if it is time to, or a signal has come; in
  /// that case it throws Interrupted.
  /// The session is only asked for when it is needed.
  void after_step(const std::function<const Session&()>& session, std::int64_t step,
                  const SaveModel& save);
  /// The same at the end of an epoch, whose number is the last of session.epochs. Keeps the best,
  /// if that is asked for.
  void after_epoch(const Session& session, std::int64_t step, const SaveModel& save);
  /// Returns the path of the newest one that this run has written or gone on from, or nothing.
  std::string newest() const;
  /// Returns the file of the best model; empty if it is not kept.
  std::string best() const { return options_.keep_best ? best_.string() : std::string(); }
  /// Removes the checkpoints: their run is complete.
  void finish();

 private:
  void write(const Session& session, std::int64_t step, const SaveModel& save);
  void load(const std::filesystem::path& path);

  CheckpointOptions options_;
  std::filesystem::path folder_, best_;
  Configuration configuration_;
  const Console& console_;
  IntervalTimer timer_;
  Session session_;
  std::optional<io::ModelFile> resumed_;
  std::string resumed_path_;
  std::int64_t written_ = -1;  // step of the newest
};

}  // namespace rung::cli
