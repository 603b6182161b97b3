#include "run/training.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "console/interrupt.h"
#include "console/messages.h"
#include "run/class_scores.h"
#include "rung/core/error.h"

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

void describe(const Recipe& recipe, Configuration& configuration) {
  const auto set = [&](const char* option, const auto& value) {
    configuration[option] = fmt::format("{}", value);
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

void settle(DataOptions& data, CheckpointOptions& checkpoint) {
  checkpoint.keep_best = checkpoint.keep_best || data.validation.patience;
  data.validation.needed = checkpoint.keep_best;
}

namespace {

nn::CheckNumerics check_numerics(const std::string& name) {
  if (name == "off") return nn::CheckNumerics::off;
  return name == "all" ? nn::CheckNumerics::all : nn::CheckNumerics::loss;
}

/// One run over all epochs: what is done, and the way on from there.
class Epochs {
 public:
  Epochs(const Training& training, const Console& console, Report& report)
      : training_(training),
        console_(console),
        report_(report),
        schedule_(make_schedule(training.recipe)),
        scores_(training.executor.graph()),
        session_(training.checkpoints.session()) {
    if (training.checkpoints.resumed_path().empty()) return;
    nn::load_training_state(session_.state, training.executor, training.train, training.optimizer);
    for (const EpochFigures& figures : session_.epochs) add_to_report(figures);
  }

  void run() {
    const std::int64_t epochs = training_.recipe.epochs;
    // An epoch of which all batches are done was interrupted in its validation.
    const nn::Metrics part = session_.state.epoch;
    const bool only_validation = part.images > 0 && session_.state.data.batch == 0;
    std::int64_t epoch = session_.state.data.epoch - (only_validation ? 1 : 0);
    for (bool first = true; epoch < epochs && !is_patience_over(); ++epoch, first = false) {
      if (training_.before_epoch) training_.before_epoch(epoch);
      const nn::Metrics before = first ? part : nn::Metrics{};
      finish_epoch(epoch, before, first && only_validation ? part : train(epoch, before));
    }
  }

  /// Tests the model once, at the end; a signal leaves a checkpoint from which only that is done.
  nn::Metrics test() {
    return saved([this] { return test_model(training_.executor, training_.test, "test"); },
                 session_.state.epoch);
  }
  nn::Metrics test_best() {
    const std::string path = training_.checkpoints.best();
    return saved([&] { return training_.test_saved(path, training_.test); }, session_.state.epoch);
  }

  const std::vector<EpochFigures>& figures() const { return session_.epochs; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::int64_t step() const {
    const nn::DataLoaderState& at = session_.state.data;
    return at.epoch * training_.train.size() + at.batch;
  }

  /// A model that is not finite any more must not take the place of one that was.
  void check_finite() const {
    if (training_.recipe.check_numerics == "off") return;
    const std::string bad = nn::find_not_finite_parameter(training_.executor.graph());
    if (!bad.empty()) throw Error(bad + "; try a lower learning rate");
  }

  void look() {
    if (!training_.look) return;
    for (const std::string& warning : training_.look()) {
      warn(warning);
      warnings_.push_back(warning);
    }
  }

  void note_state(const nn::Metrics& epoch) {
    check_finite();
    session_.state = nn::training_state(training_.executor, training_.train, training_.optimizer);
    session_.state.epoch = epoch;
  }

  nn::Metrics train(std::int64_t epoch, const nn::Metrics& before) {
    const Recipe& recipe = training_.recipe;
    scores_.watch(training_.executor);
    const nn::LossFunction loss =
        scores_.loss(training_.executor, {.label_smoothing = recipe.label_smoothing});
    const auto before_step = [&](std::int64_t batch) {
      const double done = static_cast<double>(batch) / static_cast<double>(training_.train.size());
      nn::apply_schedule(schedule_, static_cast<double>(epoch) + done, training_.optimizer);
    };
    ProgressBar bar(fmt::format("epoch {}/{}", epoch + 1, recipe.epochs));
    const auto after_step = [&](const nn::Progress& progress) {
      bar.update(progress);
      if (progress.batch % kLookAfter == 0 || progress.batch == progress.batches) {
        bar.clear();
        look();
      }
      training_.checkpoints.after_step(
          [&]() -> const Session& {
            note_state(progress.metrics);
            return session_;
          },
          epoch* training_.train.size() + progress.batch, training_.save);
    };
    return nn::train_one_epoch(training_.executor, training_.train, loss, training_.optimizer,
                               {.before = before,
                                .check_numerics = check_numerics(recipe.check_numerics),
                                .clip_grad_norm = recipe.clip_grad_norm,
                                .before_step = before_step,
                                .on_progress = after_step});
  }

  bool is_patience_over() const {
    const std::optional<std::size_t> best = best_epoch(session_.epochs);
    if (!training_.patience || !best) return false;
    const auto waited = static_cast<std::int64_t>(session_.epochs.size() - 1 - *best);
    if (waited < *training_.patience) return false;
    console_.line(
        fmt::format("stopped after {} epochs that were not better on the validation "
                    "images than epoch {}",
                    waited, *best + 1));
    return true;
  }

  /// A signal meanwhile: the epoch's training is saved, this is done again.
  nn::Metrics saved(const std::function<nn::Metrics()>& measure, const nn::Metrics& epoch) {
    try {
      return measure();
    } catch (const Interrupted&) {
      note_state(epoch);
      const auto session = [this]() -> const Session& { return session_; };
      training_.checkpoints.after_step(session, step(), training_.save);
      throw;
    }
  }

  void finish_epoch(std::int64_t epoch, const nn::Metrics& before, const nn::Metrics& train) {
    const std::int64_t epochs = training_.recipe.epochs;
    EpochFigures figures{
        .loss = train.loss,
        .top1_train = percent(train.top1),
        .seconds = train.seconds,
        .lr = schedule_(training_.optimizer.initial_lr(), static_cast<double>(epoch)),
        .images_per_s = train.seconds > 0
                            ? static_cast<double>(train.images - before.images) / train.seconds
                            : 0};
    std::string validation;
    if (training_.validation != nullptr) {
      const auto validate = [this] {
        return test_model(training_.executor, *training_.validation, "validation");
      };
      const nn::Metrics metrics = saved(validate, train);
      figures.top1_val = percent(metrics.top1);
      figures.seconds += metrics.seconds;
      validation = fmt::format("  validation {:5.2f} %", *figures.top1_val);
    }
    console_.line(fmt::format(
        "epoch {:>{}}/{}  loss {:.4f}  train {:5.2f} %{}  lr {:.3g}  {:.1f} s  {:.0f} images/s",
        epoch + 1, std::to_string(epochs).size(), epochs, figures.loss, figures.top1_train,
        validation, figures.lr, figures.seconds, figures.images_per_s));
    session_.epochs.push_back(figures);
    add_to_report(figures);
    report_.write_so_far(training_.json);
    note_state({});
    training_.checkpoints.after_epoch(session_, step(), training_.save);
  }

  void add_to_report(const EpochFigures& each) {
    Report figures;
    figures.set("loss", each.loss);
    figures.set("top1_train", each.top1_train);
    if (each.top1_val) figures.set("top1_val", *each.top1_val);
    figures.set("seconds", each.seconds);
    figures.set("lr", each.lr);
    figures.set("images_per_s", each.images_per_s);
    report_.append("epochs", figures);
  }

  const Training& training_;
  const Console& console_;
  Report& report_;
  const nn::LrSchedule schedule_;
  const ClassScores scores_;
  Session session_;
  std::vector<std::string> warnings_;
};

/// Says which model was best and tests it, unless it is the last one.
void report_best(const Training& training, Epochs& epochs, double last_top1, const Console& console,
                 Report& report) {
  const std::optional<std::size_t> best = best_epoch(epochs.figures());
  if (!best || training.checkpoints.best().empty()) return;
  const std::string path = training.checkpoints.best();
  const double top1_val = *epochs.figures()[*best].top1_val;
  const bool is_last = *best == epochs.figures().size() - 1;
  const double top1 = is_last ? last_top1 : percent(epochs.test_best().top1);
  console.line(fmt::format("best: epoch {}, validation {:.2f} %, test {:.2f} %, in {}", *best + 1,
                           top1_val, top1, path));
  Report figures;
  figures.set("epoch", static_cast<std::int64_t>(*best + 1));
  figures.set("top1_val", top1_val);
  figures.set("top1", top1);
  report.set("best", figures);
}

void run_epochs(const Training& training, const Console& console, Report& report) {
  Epochs epochs(training, console, report);
  try {
    epochs.run();
    const nn::Metrics test = epochs.test();
    const double top1 = percent(test.top1);
    console.line(
        fmt::format("test: {} images, top1 {:.2f} %, loss {:.4f}", test.images, top1, test.loss));
    report_best(training, epochs, top1, console, report);
    if (training.look) report.set("warnings", epochs.warnings());
    report.set("top1", top1);
  } catch (const Error& error) {
    const std::string newest = training.checkpoints.newest();
    if (newest.empty()) throw;
    throw Error(fmt::format("{}; the newest checkpoint is {}", error.what(), newest));
  }
}

}  // namespace

void run_training(const Training& training, const Console& console, Report& report) {
  run_epochs(training, console, report);
  training.data.report_skipped({&training.train, training.validation, &training.test}, console,
                               report);
  training.save(training.out, {});
  report.write(training.json);
  training.checkpoints.finish();
  console.line("wrote " + training.out);
}

nn::Metrics test_model(Executor& executor, nn::DataLoader& loader, const std::string& label) {
  ProgressBar bar(label);
  const ClassScores scores(executor.graph());
  scores.watch(executor);
  nn::EvaluateOptions options{.loss = scores.loss(executor, {}),
                              .on_progress = [&](const nn::Progress& progress) {
                                bar.update(progress);
                                throw_if_interrupted();
                              }};
  // What saturates in floats is still an answer; what few bits make equal is none.
  if (!scores.quantized())
    options.scores = [&](const Tensor& output) { return scores.logits(executor, output); };
  const nn::Metrics metrics = nn::evaluate(executor, loader, options);
  scores.unwatch(executor);
  return metrics;
}

}  // namespace rung::cli
