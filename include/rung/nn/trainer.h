#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/exec/executor.h"
#include "rung/nn/checkpoints.h"
#include "rung/nn/data.h"
#include "rung/nn/loss.h"
#include "rung/nn/lr_scheduler.h"
#include "rung/nn/numerics.h"
#include "rung/nn/optim.h"
#include "rung/nn/train.h"

namespace rung::nn {

struct TrainerOptions {
  std::int64_t epochs = 1;   ///< in all, those before an interruption included
  LrSchedule schedule = {};  ///< its time counts epochs, in parts too; empty: rates stay
  CheckNumerics check_numerics = CheckNumerics::loss;
  double clip_grad_norm = 0.0;  ///< 0 is off

  ScoresOf scores = {};  ///< see TrainOptions

  /// Measures the model after each epoch; returns nothing if it was told to stop before its end.
  /// Only its top1 and seconds are looked at. Empty: there is no validation.
  std::function<std::optional<Metrics>()> validate = {};
  /// Ends the run after so many epochs in which the validation was not better than before.
  std::optional<std::int64_t> patience = {};

  Checkpoints* checkpoints = nullptr;  ///< where the run saves itself, and goes on from
  /// Writes the model; default: io::save_model of the executor's graph. Of a quantized one:
  /// save_checkpoint of its sim, which load_checkpoint makes again of the file to go on from.
  SaveModel save = {};
  /// Asked after every step: true ends the run, with a checkpoint. Set a flag in a signal handler
  /// or another thread, and return it here.
  std::function<bool()> stop = {};

  /// Looks at the model every so many steps and at the end of an epoch; returns what to warn of.
  /// Of learned ranges: RangeWatch (rung/quantsim/range_watch.h).
  std::function<std::vector<std::string>()> watch = {};
  std::int64_t watch_every = 50;

  std::function<void(std::int64_t epoch)> before_epoch = {};       ///< gets 0, 1, ...
  std::function<void(std::int64_t batch)> after_backward = {};     ///< see TrainOptions
  std::function<void(const Progress& progress)> on_progress = {};  ///< after every step
  std::function<void(const std::string& warning)> on_warning = {};
  std::function<void(std::int64_t epoch, const EpochFigures& figures)> on_epoch = {};

  /// Adds to each checkpoint what callbacks need to go on, under names of their own.
  std::function<void(io::ModelExtras& kept)> keep = {};
  /// Gets the state that the run goes on from, with what was kept, and its number of steps; called
  /// by the trainer's constructor.
  std::function<void(const RunState& state, std::int64_t step)> restore = {};
};

/// How a run has ended.
enum class TrainingEnd {
  all_epochs,
  patience,  ///< the validation did not get better any more
  stopped,   ///< it was told to stop, and has saved where it stands
};

/// Trains over epochs, each followed by a validation if there is one, and can be interrupted
/// between any two steps: with checkpoints, a run that was stopped or killed goes on in another
/// process and ends in the same bits (with the same number of threads). It prints nothing and
/// handles no signals.
///
///   nn::Checkpoints checkpoints({.folder = "net.checkpoints", .every = "500", .resume = "auto"});
///   std::optional<io::ModelFile> file = checkpoints.take_resumed();
///   Graph graph = file ? std::move(file->graph) : network();
///   Executor executor(graph);
///   nn::Sgd sgd(graph.parameters(), {.lr = 0.1});
///   nn::Trainer trainer(executor, data, nn::cross_entropy, sgd,
///                       {.epochs = 20, .checkpoints = &checkpoints, .stop = told_to_stop});
///   if (trainer.run() == nn::TrainingEnd::stopped) return;
///   io::save_model("net.rung", graph);
///   checkpoints.finish();
class RUNG_API Trainer {
 public:
  /// All parts must outlive it. Puts loader, optimizer and executor where the checkpoint says that
  /// the run goes on from, if there is one. Throws Error if that does not fit, and for options that
  /// contradict each other.
  Trainer(Executor& executor, DataLoader& data, LossFunction loss, Optimizer& optimizer,
          TrainerOptions options = {});
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains what is left to train; after it was stopped it may be called again. Throws Error as
  /// train_one_epoch() does, and what callbacks throw: earlier checkpoints are there then.
  TrainingEnd run();

  /// Writes a checkpoint of where the run stands, between two calls of run(), unless there is one:
  /// for work after it that is interrupted. Does nothing without checkpoints.
  void save_checkpoint();

  /// Returns the figures of all epochs so far, those before an interruption included.
  const std::vector<EpochFigures>& epochs() const { return state_.epochs; }
  /// Returns the number of steps so far.
  std::int64_t step() const { return step_; }
  /// Returns what was warned of in this process.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Metrics train(std::int64_t epoch, const Metrics& before);
  void finish_epoch(std::int64_t epoch, const Metrics& before, const Metrics& train);
  void look();
  void after_step(const Metrics& epoch);
  void note_state(const Metrics& epoch);
  void note_step();
  bool is_patience_over() const;

  Executor& executor_;
  DataLoader& data_;
  LossFunction loss_;
  Optimizer& optimizer_;
  TrainerOptions options_;
  RunState state_;
  std::int64_t step_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace rung::nn
