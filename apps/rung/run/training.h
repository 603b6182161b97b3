#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "console/command.h"
#include "console/console.h"
#include "console/report.h"
#include "run/checkpoints.h"
#include "run/data.h"
#include "rung/exec/executor.h"
#include "rung/nn/lr_scheduler.h"
#include "rung/nn/optim.h"

namespace rung::cli {

/// How weights are moved: what train and qat have in common. The defaults are those of train.
struct Recipe {
  std::int64_t epochs = 20;
  std::string optimizer = "sgd";
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 5e-4;
  double label_smoothing = 0.0;
  double clip_grad_norm = 0.0;
  std::string check_numerics = "loss";
  std::string schedule = "cosine";
  double warmup_epochs = 0;
  double step_size = 30;
  double gamma = 0.1;
  std::vector<double> milestones = {};
  bool no_augment = false;
  Augmentation augmentation = {};
};
void add_recipe_options(Command& command, Recipe& recipe);

/// Adds the recipe to what a run was told, for its checkpoints.
void describe(const Recipe& recipe, Configuration& configuration);

/// Returns how the recipe varies training images.
Augmentation augmentation_of(const Recipe& recipe);

/// Returns the recipe's schedule; its time counts epochs. Throws Error if it makes no sense.
nn::LrSchedule make_schedule(const Recipe& recipe);

/// Parameters that share a learning rate and a weight decay.
struct OptimizerGroup {
  std::vector<Parameter*> parameters;
  double lr = 0.0;
  double weight_decay = 0.0;
};
std::unique_ptr<nn::Optimizer> make_optimizer(const Recipe& recipe,
                                              const std::vector<OptimizerGroup>& groups);

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
  Checkpoints& checkpoints;
  SaveModel save;  ///< the model as it is now
  /// Tests a model that was saved.
  std::function<nn::Metrics(const std::string& path, nn::DataLoader& test)> test_saved;
  std::function<void(std::int64_t epoch)> before_epoch = {};  ///< gets 0, 1, ...
  /// Looks at the model every kLookAfter steps and at the end of an epoch; returns what to warn of.
  std::function<std::vector<std::string>()> look = {};
};
inline constexpr std::int64_t kLookAfter = 50;

/// Trains all epochs, each followed by a look at the validation images if there are any, from where
/// the checkpoints say, and stops early if patience ends. The test images are looked at once, at
/// the end. Prints a line per epoch; sets "epochs", which the figures' file has after each, "best"
/// if that is kept, "top1" and, if there is someone who looks, "warnings". Throws Interrupted, with
/// everything saved, after a signal, and Error that also names the newest checkpoint. Then writes
/// the model and the figures, removes the checkpoints, and says what was skipped and written.
void run_training(const Training& training, const Console& console, Report& report);

/// Runs a model over a loader, behind a progress bar.
nn::Metrics test_model(Executor& executor, nn::DataLoader& loader, const std::string& label);

}  // namespace rung::cli
