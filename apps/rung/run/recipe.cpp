#include "run/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace rung::cli {

void add_recipe_options(Command& command, Recipe& recipe) {
  command.group("Training");
  command.option("--epochs N", recipe.epochs, "passes over the training images", between(1, 1e6));
  command.option("--schedule NAME", recipe.schedule,
                 "of the learning rate: constant, cosine, multistep, step",
                 one_of(nn::schedule_names()));
  command.option("--warmup-epochs X", recipe.warmup_epochs,
                 "epochs in which the rate first rises, from a third", at_least(0));
  command.option("--step-size X", recipe.step_size, "step: epochs between two drops");
  command.option("--milestones A,B", recipe.milestones,
                 "multistep: epochs of the drops, default: at 1/2 and 3/4");
  command.option("--gamma X", recipe.gamma, "step, multistep: factor of a drop");
  command.option("--optimizer NAME", recipe.optimizer, "sgd, adam or adamw",
                 one_of({"sgd", "adam", "adamw"}));
  command.option("--momentum X", recipe.momentum, "of sgd", between(0, 1));
  command.flag("--nesterov", recipe.nesterov, "use Nesterov's momentum");
  command.option("--weight-decay X", recipe.weight_decay,
                 "L2 penalty; of adamw: a step takes lr * X of each weight off", at_least(0));
  command.option("--label-smoothing X", recipe.label_smoothing,
                 "share of the target spread over all classes", between(0, 1));
  command.option("--clip-grad-norm X", recipe.clip_grad_norm,
                 "scale gradients down to this common norm, 0 = never", at_least(0));
  command.option("--check-numerics NAME", recipe.check_numerics,
                 "stop at what is not finite: off, loss, or all (gradients and weights, too)",
                 one_of({"off", "loss", "all"}));
  command.group("Images");
  command.flag("--no-augment", recipe.no_augment, "do not shift and mirror the training images");
  command.option("--crop-padding N", recipe.augmentation.crop_padding,
                 "pixels by which training images are shifted at most", between(0, 1024));
  command.option("--random-erasing P", recipe.augmentation.random_erasing,
                 "probability that a rectangle of a training image is erased", between(0, 1));
}

void describe(const Recipe& recipe, nn::RunSettings& settings) {
  const auto set = [&](const char* option, const auto& value) {
    settings[option] = fmt::format("{}", value);
  };
  set("--epochs", recipe.epochs);
  set("--schedule", recipe.schedule);
  set("--warmup-epochs", recipe.warmup_epochs);
  set("--step-size", recipe.step_size);
  set("--milestones", fmt::format("{}", fmt::join(recipe.milestones, ",")));
  set("--gamma", recipe.gamma);
  set("--optimizer", recipe.optimizer);
  set("--momentum", recipe.momentum);
  set("--nesterov", recipe.nesterov);
  set("--weight-decay", recipe.weight_decay);
  set("--label-smoothing", recipe.label_smoothing);
  set("--clip-grad-norm", recipe.clip_grad_norm);
  set("--no-augment", recipe.no_augment);
  set("--crop-padding", recipe.augmentation.crop_padding);
  set("--random-erasing", recipe.augmentation.random_erasing);
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
