#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "console/command.h"
#include "run/preprocess.h"
#include "rung/nn/lr_scheduler.h"
#include "rung/nn/numerics.h"
#include "rung/nn/optim.h"
#include "rung/nn/run_settings.h"

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
void describe(const Recipe& recipe, nn::RunSettings& settings);

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

/// Returns what the recipe looks at for numbers that are not finite.
nn::CheckNumerics check_numerics(const Recipe& recipe);

}  // namespace rung::cli
