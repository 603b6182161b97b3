#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "console/console.h"
#include "console/report.h"
#include "run/data.h"
#include "run/recipe.h"
#include "run/saving.h"
#include "run/training_log.h"
#include "rung/exec/executor.h"
#include "rung/nn/checkpoints.h"
#include "rung/nn/optim.h"

namespace rung::cli {

/// Makes options that follow from each other agree: patience keeps the best model, and that needs
/// validation images.
void settle(DataOptions& data, CheckpointOptions& checkpoint);

/// What a run of training works on; the parts must outlive it.
struct Training {
  Executor& executor;
  nn::DataLoader& train;
  nn::DataLoader* validation;  ///< nullptr: there are no such images
  nn::DataLoader& test;
  nn::Optimizer& optimizer;
  const Recipe& recipe;
  const Data& data;
  std::optional<std::int64_t> patience;
  std::string out;   ///< the file to write
  std::string json;  ///< the file of the figures, see Report::write()
  const LogOptions& log;
  bool resumes = false;  ///< it was told to go on, if there is something to go on from
  nn::Checkpoints& checkpoints;
  nn::SaveModel save;  ///< the model as it is now
  /// Tests a model that was saved.
  std::function<nn::Metrics(const std::string& path, nn::DataLoader& test)> test_saved;
  std::function<void(std::int64_t epoch)> before_epoch = {};  ///< gets 0, 1, ...
  /// See nn::TrainerOptions::watch.
  std::function<std::vector<std::string>()> watch = {};
};

/// Trains all epochs with an nn::Trainer, and tells people about it. The test images are looked at
/// once, at the end. Prints a line per epoch; sets "epochs", which the figures' file has after
/// each, "best" if that is kept, "top1" and, if there is a watch, "warnings". Throws Interrupted,
/// with everything saved, after a signal, and Error that also names the newest checkpoint. Then
/// writes the model and the figures, removes the checkpoints, and says what was skipped and
/// written.
void run_training(const Training& training, const Console& console, Report& report);

/// What a test of a model shows.
struct TestMetrics : nn::Metrics {
  /// That is what the outputs are, though nothing in the graph says so.
  bool probabilities = false;
};

struct TestOptions {
  nn::CheckNumerics check = nn::CheckNumerics::off;
  /// Gets what the model answers to each batch, in the order of the images.
  std::function<void(const Tensor&)> on_output = {};
  /// Gets the scores [N, C] in which right answers are counted.
  std::function<void(const Tensor& scores, std::span<const std::int64_t> labels)> on_scores = {};
};

/// Runs a model over a loader, behind a progress bar that is labelled with the loader's images.
/// Throws Interrupted after a signal, and Error, unless `check` is off, where the loss is not
/// finite.
TestMetrics test_model(Executor& executor, nn::DataLoader& loader, const std::string& label,
                       const TestOptions& test_options = {});

}  // namespace rung::cli
