#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rung/analysis/training_recorder.h"
#include "rung/exec/executor.h"
#include "rung/io/summary_writer.h"
#include "rung/nn/optim.h"
#include "rung/nn/trainer.h"

// What runs of training write down for those who look at them later.

namespace rung::cli {

/// Where train and qat write how the run went.
struct LogOptions {
  std::string record, log_dir;
  bool curve = false;

  template <typename V>
  void visit(V& v) {
    v.group("Training curves");
    v.option("--log-dir DIR", log_dir, "write what TensorBoard shows, and metrics.csv");
    v.option("--record FILE", record,
             "write how the run went, *.json: for rung analyze --training FILE");
    v.flag("--curve", curve, "draw the loss so far beside the progress bar");
  }
};

/// Returns the files that are written, for checks before the run.
std::vector<std::string> files_of(const LogOptions& options);

/// Throws Error if the folder has the curves of another run; `resumes`: they are this run's.
void check(const LogOptions& options, bool resumes);

/// Listens to a trainer and writes what the options ask for. A run that goes on from a checkpoint
/// goes on with what it has written.
class TrainingLog {
 public:
  /// All parts must outlive it.
  TrainingLog(const LogOptions& options, Executor& executor, const nn::Optimizer& optimizer);

  void listen_to(nn::TrainerOptions& options);
  /// Begins to write, once the trainer stands where the run goes on. Throws Error if it cannot.
  /// `out` is the model that is trained. `resumes`: event files in the folder may be this run's; if
  /// they are, what was written after its checkpoint is removed.
  void open(const std::string& out, bool resumes);
  /// Writes all of it, with the figures of the test images, as it also does after each epoch but
  /// for these. Throws Error if that fails.
  void finish(const nn::Metrics& test);

 private:
  void add_step(const nn::Metrics& figures);
  void add_epoch(const nn::EpochFigures& figures);
  void add_model();
  void write_record() const;
  void write_csv() const;

  const LogOptions& options_;
  Executor& executor_;
  const nn::Optimizer& optimizer_;
  std::optional<analysis::TrainingRecorder> recorder_;  // if it is asked for
  std::unique_ptr<io::SummaryWriter> writer_;           // if it is asked for, from open() on
  std::int64_t step_ = 0;                               // that are done
  nn::Metrics before_ = {};                             // of the epoch, up to the step before
  double gradient_norm_ = 0;                            // of the step under way
  std::vector<nn::EpochFigures> epochs_;
  io::EventFileSizes files_;  // that a checkpoint knows
};

}  // namespace rung::cli
