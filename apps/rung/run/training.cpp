#include "run/training.h"

#include <fmt/format.h>

#include "console/curve.h"
#include "console/interrupt.h"
#include "console/messages.h"
#include "run/class_scores.h"
#include "rung/core/error.h"
#include "rung/nn/trainer.h"

namespace rung::cli {

void settle(DataOptions& data, CheckpointOptions& checkpoint) {
  checkpoint.keep_best = checkpoint.keep_best || data.validation.patience;
  data.validation.needed = checkpoint.keep_best;
}

namespace {

void add_to_report(const nn::EpochFigures& each, Report& report) {
  Report figures;
  figures.set("loss", each.loss);
  figures.set("top1_train", percent(each.top1));
  if (each.top5) figures.set("top5_train", percent(*each.top5));
  if (each.loss_validation) figures.set("loss_val", *each.loss_validation);
  if (each.top1_validation) figures.set("top1_val", percent(*each.top1_validation));
  if (each.top5_validation) figures.set("top5_val", percent(*each.top5_validation));
  figures.set("seconds", each.seconds);
  figures.set("lr", each.lr);
  figures.set("images_per_s", each.images_per_s);
  report.append("epochs", figures);
}

/// Shows top1, and top5 where that says something.
std::string accuracies(double top1, const std::optional<double>& top5) {
  const std::string first = fmt::format("{:5.2f} %", percent(top1));
  return top5 ? fmt::format("{}, top5 {:5.2f} %", first, percent(*top5)) : first;
}

std::string line_of(std::int64_t epoch, std::int64_t epochs, const nn::EpochFigures& figures) {
  std::string validation;
  if (figures.top1_validation)
    validation = "  validation " + accuracies(*figures.top1_validation, figures.top5_validation);
  return fmt::format("epoch {:>{}}/{}  loss {}  train {}{}  lr {:.3g}  {:.1f} s  {:.0f} images/s",
                     epoch + 1, std::to_string(epochs).size(), epochs, shown_loss(figures.loss),
                     accuracies(figures.top1, figures.top5), validation, figures.lr,
                     figures.seconds, figures.images_per_s);
}

/// One run over all epochs, on the console and in the report.
class Run {
 public:
  Run(const Training& training, const Console& console, Report& report)
      : training_(training),
        console_(console),
        report_(report),
        scores_(training.executor.graph()),
        log_(training.log, training.executor, training.optimizer),
        trainer_(
            training.executor, training.train,
            scores_.loss(training.executor, {.label_smoothing = training.recipe.label_smoothing}),
            training.optimizer, options()) {
    log_.open(training.out, training.resumes);
    for (const nn::EpochFigures& figures : trainer_.epochs()) add_to_report(figures, report);
  }

  void train() {
    const nn::TrainingEnd end = trainer_.run();
    bar_.reset();
    if (end == nn::TrainingEnd::stopped) throw_interrupted();
    if (end != nn::TrainingEnd::patience) return;
    const std::size_t best = *nn::best_epoch(trainer_.epochs());
    console_.line(
        fmt::format("stopped after {} epochs that were not better on the validation "
                    "images than epoch {}",
                    trainer_.epochs().size() - 1 - best, best + 1));
  }

  /// Tests the model once, at the end; a signal leaves a checkpoint from which only that is done.
  void test() {
    const nn::Metrics test = or_saved([this] {
      return test_model(training_.executor, training_.test, "test",
                        {.check = check_numerics(training_.recipe)});
    });
    const double top1 = percent(test.top1);
    console_.line(fmt::format("test: {} images, top1 {}, loss {}", test.images,
                              accuracies(test.top1, test.top5), shown_loss(test.loss)));
    log_.finish(test);
    test_best(top1);
    if (training_.watch) report_.set("warnings", trainer_.warnings());
    if (test.top5) report_.set("top5", percent(*test.top5));
    report_.set("top1", top1);
  }

 private:
  nn::TrainerOptions options() {
    const Recipe& recipe = training_.recipe;
    nn::TrainerOptions options{
        .epochs = recipe.epochs,
        .schedule = make_schedule(recipe),
        .check_numerics = check_numerics(recipe),
        .clip_grad_norm = recipe.clip_grad_norm,
        .patience = training_.patience,
        .checkpoints = &training_.checkpoints,
        .save = training_.save,
        .stop = is_interrupted,
        .watch = training_.watch,
        .before_epoch = [this](std::int64_t epoch) { before_epoch(epoch); },
        .on_progress = [this](const nn::Progress& progress) { on_progress(progress); },
        .on_warning =
            [this](const std::string& warning) {
              bar_->clear();
              warn(warning);
            },
        .on_epoch = [this](std::int64_t epoch,
                           const nn::EpochFigures& figures) { on_epoch(epoch, figures); }};
    if (training_.validation != nullptr) options.validate = [this] { return validate(); };
    log_.listen_to(options);
    return options;
  }

  void before_epoch(std::int64_t epoch) {
    if (training_.before_epoch) training_.before_epoch(epoch);
    scores_.watch(training_.executor);
    bar_.emplace(fmt::format("epoch {}/{}", epoch + 1, training_.recipe.epochs));
  }

  void on_progress(const nn::Progress& progress) {
    if (training_.log.curve) {
      if (progress.batch == 1) before_ = {};
      curve_.add(progress.metrics.since(before_).loss);
      before_ = progress.metrics;
      bar_->set_note(curve_.text(), curve_.columns());
    }
    bar_->update(progress);
  }

  std::optional<nn::Metrics> validate() {
    bar_.reset();
    try {
      return test_model(training_.executor, *training_.validation, "validation",
                        {.check = check_numerics(training_.recipe)});
    } catch (const Interrupted&) {
      return {};
    }
  }

  void on_epoch(std::int64_t epoch, const nn::EpochFigures& figures) {
    bar_.reset();
    console_.line(line_of(epoch, training_.recipe.epochs, figures));
    add_to_report(figures, report_);
    report_.write_so_far(training_.json);
  }

  /// Says which model was best and tests it, unless it is the last one.
  void test_best(double last_top1) {
    const std::vector<nn::EpochFigures>& epochs = trainer_.epochs();
    const std::optional<std::size_t> best = nn::best_epoch(epochs);
    const std::string path = training_.checkpoints.best();
    if (!best || path.empty()) return;
    const double top1_val = percent(*epochs[*best].top1_validation);
    const auto test_saved = [&] { return training_.test_saved(path, training_.test); };
    const bool is_last = *best == epochs.size() - 1;
    const double top1 = is_last ? last_top1 : percent(or_saved(test_saved).top1);
    console_.line(fmt::format("best: epoch {}, validation {:.2f} %, test {:.2f} %, in {}",
                              *best + 1, top1_val, top1, path));
    Report figures;
    figures.set("epoch", static_cast<std::int64_t>(*best + 1));
    figures.set("top1_val", top1_val);
    figures.set("top1", top1);
    report_.set("best", figures);
  }

  nn::Metrics or_saved(const std::function<nn::Metrics()>& measure) {
    try {
      return measure();
    } catch (const Interrupted&) {
      trainer_.save_checkpoint();
      throw_interrupted();
    }
  }

  [[noreturn]] void throw_interrupted() const {
    throw Interrupted(fmt::format("stopped by {} after step {}: {}", interrupted_by(),
                                  trainer_.step(), kHowToResume));
  }

  const Training& training_;
  const Console& console_;
  Report& report_;
  const ClassScores scores_;
  TrainingLog log_;
  std::optional<ProgressBar> bar_;
  Curve curve_;              // of the loss, if it is asked for
  nn::Metrics before_ = {};  // of the epoch, up to the step before
  nn::Trainer trainer_;
};

}  // namespace

void run_training(const Training& training, const Console& console, Report& report) {
  Run run(training, console, report);
  try {
    run.train();
    run.test();
  } catch (const Error& error) {
    const std::string newest = training.checkpoints.newest();
    if (newest.empty()) throw;
    throw Error(fmt::format("{}; the newest checkpoint is {}", error.what(), newest));
  }
  training.data.report_skipped({&training.train, training.validation, &training.test}, console,
                               report);
  training.save(training.out, {});
  report.write(training.json);
  training.checkpoints.finish();
  console.line("wrote " + training.out);
}

TestMetrics test_model(Executor& executor, nn::DataLoader& loader, const std::string& label,
                       const TestOptions& test_options) {
  ProgressBar bar(label);
  const ClassScores scores(executor.graph());
  scores.watch(executor);
  const nn::LossFunction loss = scores.loss(executor, {});
  // Of the outputs as they are, as long as all of them could be probabilities.
  bool probabilities = scores.activation().empty();
  double log_loss_sum = 0;
  nn::EvaluateOptions options{
      .loss = [&](const Tensor& output, std::span<const std::int64_t> labels) -> nn::Loss {
        nn::Loss result = loss(output, labels);  // throws if the labels do not fit
        if (test_options.on_output) test_options.on_output(output);
        if (test_options.on_scores)
          test_options.on_scores(scores.quantized() ? output : scores.logits(executor, output),
                                 labels);
        probabilities = probabilities && are_probabilities(output.data(), output.shape()[1]);
        if (probabilities)
          log_loss_sum += log_loss(output.data(), labels) * static_cast<double>(labels.size());
        return result;
      },
      .check_numerics = test_options.check,
      .on_progress =
          [&](const nn::Progress& progress) {
            bar.update(progress);
            throw_if_interrupted();
          }};
  // What saturates in floats is still an answer; what few bits make equal is none.
  if (!scores.quantized())
    options.scores = [&](const Tensor& output) { return scores.logits(executor, output); };
  TestMetrics metrics{nn::evaluate(executor, loader, options), probabilities};
  if (probabilities) {
    metrics.loss_sum = log_loss_sum;
    metrics.loss = log_loss_sum / static_cast<double>(metrics.images);
  }
  scores.unwatch(executor);
  return metrics;
}

}  // namespace rung::cli
