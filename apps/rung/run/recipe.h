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

  template <typename V>
  void visit(V& v) {
    v.group("Training");
    v.option("--epochs N", epochs, "passes over the training images", between(1, 1e6),
             affects_result);
    v.option("--schedule NAME", schedule, "of the learning rate: constant, cosine, multistep, step",
             one_of(nn::schedule_names()), affects_result);
    v.option("--warmup-epochs X", warmup_epochs,
             "epochs in which the rate first rises, from a third", at_least(0), affects_result);
    v.option("--step-size X", step_size, "step: epochs between two drops", {}, affects_result);
    v.option("--milestones A,B", milestones,
             "multistep: epochs of the drops, default: at 1/2 and 3/4", {}, affects_result);
    v.option("--gamma X", gamma, "step, multistep: factor of a drop", {}, affects_result);
    v.option("--optimizer NAME", optimizer, "sgd, adam or adamw", one_of({"sgd", "adam", "adamw"}),
             affects_result);
    v.option("--momentum X", momentum, "of sgd", between(0, 1), affects_result);
    v.flag("--nesterov", nesterov, "use Nesterov's momentum", affects_result);
    for (const char* name : {"--momentum", "--nesterov"})
      v.only_for(name, "--optimizer sgd", [this] { return optimizer == "sgd"; });
    v.only_for("--step-size", "--schedule step", [this] { return schedule == "step"; });
    v.only_for("--milestones", "--schedule multistep", [this] { return schedule == "multistep"; });
    v.only_for("--gamma", "--schedule step or multistep",
               [this] { return schedule == "step" || schedule == "multistep"; });
    v.option("--weight-decay X", weight_decay,
             "L2 penalty; of adamw: a step takes lr * X of each weight off", at_least(0),
             affects_result);
    v.option("--label-smoothing X", label_smoothing, "share of the target spread over all classes",
             between(0, 1), affects_result);
    v.option("--clip-grad-norm X", clip_grad_norm,
             "scale gradients down to this common norm, 0 = never", at_least(0), affects_result);
    v.option("--check-numerics NAME", check_numerics,
             "stop at what is not finite: off, loss, or all (gradients and weights, too)",
             one_of({"off", "loss", "all"}));
    v.group("Images");
    v.flag("--no-augment", no_augment, "do not shift and mirror the training images",
           affects_result);
    v.option("--crop-padding N", augmentation.crop_padding,
             "pixels by which training images are shifted at most", between(0, 1024),
             affects_result);
    v.option("--random-erasing P", augmentation.random_erasing,
             "probability that a rectangle of a training image is erased", between(0, 1),
             affects_result);
  }
};

/// Throws UsageError for options that contradict each other.
void check(const Recipe& recipe);

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
