#pragma once

#include <cstdint>
#include <memory>

#include "rung/analysis/training.h"
#include "rung/core/export.h"
#include "rung/exec/executor.h"
#include "rung/nn/optim.h"
#include "rung/nn/trainer.h"

namespace rung::analysis {

struct RecorderOptions {
  /// When there are so many points (even, at least 2), each two become one: memory stays bounded,
  /// however long the run is.
  std::int64_t max_points = 256;
  /// Of a weight with more numbers, so many that are evenly spread are looked at for flips.
  std::int64_t max_weights = 65'536;
};

/// Writes down how a run of nn::Trainer goes: loss, accuracy, gradients, the ranges of all enabled
/// quantizers and how restless the codes of weights are. It changes nothing that is trained, to the
/// bit. A run that goes on from a checkpoint goes on with its record.
///
///   analysis::TrainingRecorder recorder(sim.executor(), optimizer);
///   nn::TrainerOptions options{.epochs = 3, .checkpoints = &checkpoints};
///   recorder.listen_to(options);
///   nn::Trainer(sim.executor(), data, nn::cross_entropy, optimizer, options).run();
///   io::write_text_file("training.json", analysis::to_json(recorder.record()));
class RUNG_API TrainingRecorder {
 public:
  /// All parts must outlive it. Quantizers that are disabled or have no range now are left out;
  /// those that share their parameters count once. Weights that are folded in simulation, and those
  /// of more than 16 bits, of floating-point formats and of quantizers with a forward of their own
  /// have no codes to look at. Throws Error for options that cannot be.
  TrainingRecorder(Executor& executor, const nn::Optimizer& optimizer,
                   const RecorderOptions& options = {});
  ~TrainingRecorder();
  TrainingRecorder(const TrainingRecorder&) = delete;
  TrainingRecorder& operator=(const TrainingRecorder&) = delete;

  /// Adds itself to the trainer's callbacks, behind those that are there. The recorder must outlive
  /// the trainer.
  void listen_to(nn::TrainerOptions& options);

  /// Returns the record so far: complete after every step.
  const TrainingRecord& record() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::analysis
