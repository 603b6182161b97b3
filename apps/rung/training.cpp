#include "training.h"

#include <fmt/format.h>

#include <span>

#include "rung/nn/loss.h"

namespace rung::cli {

void add_recipe_options(Command& command, Recipe& recipe) {
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
  command.option("--optimizer NAME", recipe.optimizer, "sgd or adam", one_of({"sgd", "adam"}));
  command.option("--momentum X", recipe.momentum, "of sgd", between(0, 1));
  command.flag("--nesterov", recipe.nesterov, "use Nesterov's momentum");
  command.option("--weight-decay X", recipe.weight_decay, "L2 penalty", at_least(0));
  command.option("--label-smoothing X", recipe.label_smoothing,
                 "share of the target spread over all classes", between(0, 1));
  command.flag("--no-augment", recipe.no_augment, "do not shift and mirror the training images");
  command.option("--crop-padding N", recipe.augmentation.crop_padding,
                 "pixels by which training images are shifted at most", between(0, 1024));
  command.option("--random-erasing P", recipe.augmentation.random_erasing,
                 "probability that a rectangle of a training image is erased", between(0, 1));
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
  std::vector<nn::Sgd::Group> sgd;
  for (const OptimizerGroup& group : groups)
    sgd.push_back({group.parameters,
                   {.lr = group.lr,
                    .momentum = recipe.momentum,
                    .weight_decay = group.weight_decay,
                    .nesterov = recipe.nesterov}});
  return std::make_unique<nn::Sgd>(sgd);
}

void run_epochs(const Training& training, const Console& console, Report& report) {
  const nn::LrSchedule schedule = make_schedule(training.recipe);
  const std::int64_t epochs = training.recipe.epochs;
  const nn::CrossEntropyOptions smoothing{.label_smoothing = training.recipe.label_smoothing};
  const nn::LossFunction loss = [&](const Tensor& logits, std::span<const std::int64_t> labels) {
    return nn::cross_entropy(logits, labels, smoothing);
  };
  double top1 = 0;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    if (training.before_epoch) training.before_epoch(epoch);
    const double first_lr = schedule(training.optimizer.initial_lr(), static_cast<double>(epoch));
    const auto before_step = [&](std::int64_t batch) {
      const double done = static_cast<double>(batch) / static_cast<double>(training.train.size());
      nn::apply_schedule(schedule, static_cast<double>(epoch) + done, training.optimizer);
    };
    nn::Metrics train;
    {
      ProgressBar bar(fmt::format("epoch {}/{}", epoch + 1, epochs));
      train = nn::train_one_epoch(training.executor, training.train, loss, training.optimizer,
                                  {.before_step = before_step, .on_progress = bar.callback()});
    }
    const nn::Metrics test = test_model(training.executor, training.test, "test");
    top1 = percent(test.top1);
    const double images_per_s = static_cast<double>(train.images) / train.seconds;
    const double seconds = train.seconds + test.seconds;
    console.line(fmt::format(
        "epoch {:>{}}/{}  loss {:.4f}  train {:5.2f} %  test {:5.2f} %  lr {:.3g}  {:.1f} s  "
        "{:.0f} images/s",
        epoch + 1, std::to_string(epochs).size(), epochs, train.loss, percent(train.top1), top1,
        first_lr, seconds, images_per_s));
    Report figures;
    figures.set("loss", train.loss);
    figures.set("top1_train", percent(train.top1));
    figures.set("top1_test", top1);
    figures.set("seconds", seconds);
    figures.set("lr", first_lr);
    figures.set("images_per_s", images_per_s);
    report.append("epochs", figures);
  }
  report.set("top1", top1);
}

nn::Metrics test_model(Executor& executor, nn::DataLoader& loader, const std::string& label) {
  ProgressBar bar(label);
  return nn::evaluate(executor, loader, {.on_progress = bar.callback()});
}

}  // namespace rung::cli
