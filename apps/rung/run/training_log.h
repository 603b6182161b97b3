#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rung/analysis/training_recorder.h"
#include "rung/exec/executor.h"
#include "rung/nn/optim.h"
#include "rung/nn/trainer.h"

// What runs of training write down for those who look at them later.

namespace rung::cli {

/// Where train and qat write how the run went.
struct LogOptions {
  std::string record;

  template <typename V>
  void visit(V& v) {
    v.group("Training curves");
    v.option("--record FILE", record,
             "write how the run went, *.json: for rung analyze --training FILE");
  }
};

/// Returns the files that are written, for checks before the run.
std::vector<std::string> files_of(const LogOptions& options);

/// Listens to a trainer and writes what the options ask for. A run that goes on from a checkpoint
/// goes on with what it has written.
class TrainingLog {
 public:
  /// All parts must outlive it.
  TrainingLog(const LogOptions& options, Executor& executor, const nn::Optimizer& optimizer);

  void listen_to(nn::TrainerOptions& options);
  /// Writes all of it, as it also does after each epoch. Throws Error if that fails.
  void write() const;

 private:
  const LogOptions& options_;
  std::optional<analysis::TrainingRecorder> recorder_;  // if it is asked for
};

}  // namespace rung::cli
