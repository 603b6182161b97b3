#include "run/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

namespace rung::cli {

void check(const Recipe& recipe) {
  if (recipe.nesterov && recipe.momentum == 0)
    throw UsageError("--nesterov needs a --momentum, got 0");
  const auto& milestones = recipe.milestones;
  if (std::ranges::adjacent_find(milestones, std::ranges::greater_equal{}) != milestones.end())
    throw UsageError(
        fmt::format("--milestones must rise, got {}", fmt::join(recipe.milestones, ",")));
}

Augmentation augmentation_of(const Recipe& recipe) {
  Augmentation augmentation = recipe.augmentation;
  augmentation.on = !recipe.no_augment;
  return augmentation;
}

nn::LrSchedule make_schedule(const Recipe& recipe) {
  return nn::make_schedule(recipe.schedule, {.length = static_cast<double>(recipe.epochs),
                                             .step_size = recipe.step_size,
                                             .milestones = recipe.milestones,
                                             .gamma = recipe.gamma,
                                             .warmup = recipe.warmup_epochs});
}

std::unique_ptr<nn::Optimizer> make_optimizer(const Recipe& recipe,
                                              const std::vector<OptimizerGroup>& groups) {
  if (recipe.optimizer == "adam") {
    std::vector<nn::Adam::Group> adam;
    for (const OptimizerGroup& group : groups)
      adam.push_back({group.parameters, {.lr = group.lr, .weight_decay = group.weight_decay}});
    return std::make_unique<nn::Adam>(adam);
  }
  if (recipe.optimizer == "adamw") {
    std::vector<nn::AdamW::Group> adamw;
    for (const OptimizerGroup& group : groups)
      adamw.push_back({group.parameters, {.lr = group.lr, .weight_decay = group.weight_decay}});
    return std::make_unique<nn::AdamW>(adamw);
  }
  std::vector<nn::Sgd::Group> sgd;
  for (const OptimizerGroup& group : groups)
    sgd.push_back({group.parameters,
                   {.lr = group.lr,
                    .momentum = recipe.momentum,
                    .weight_decay = group.weight_decay,
                    .nesterov = recipe.nesterov}});
  return std::make_unique<nn::Sgd>(sgd);
}

nn::CheckNumerics check_numerics(const Recipe& recipe) {
  if (recipe.check_numerics == "off") return nn::CheckNumerics::off;
  return recipe.check_numerics == "all" ? nn::CheckNumerics::all : nn::CheckNumerics::loss;
}

}  // namespace rung::cli
