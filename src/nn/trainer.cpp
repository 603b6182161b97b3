#include "rung/nn/trainer.h"

#include <cmath>
#include <utility>

#include "core/check.h"

namespace rung::nn {
namespace {

/// Leaves the loops over steps and epochs.
struct Stop {};

/// Rounds a share to a hundredth of a percent.
double in_figures(double share) { return std::round(share * 1e4) / 1e4; }
std::optional<double> in_figures(const std::optional<double>& share) {
  return share ? std::optional(in_figures(*share)) : std::nullopt;
}

}  // namespace

Trainer::Trainer(Executor& executor, DataLoader& data, LossFunction loss, Optimizer& optimizer,
                 TrainerOptions options)
    : executor_(executor),
      data_(data),
      loss_(std::move(loss)),
      optimizer_(optimizer),
      options_(std::move(options)) {
  const bool keeps_best = options_.checkpoints != nullptr && !options_.checkpoints->best().empty();
  require(options_.validate || (!options_.patience && !keeps_best),
          "Trainer: patience and a best model need a validation; set validate");
  require(options_.watch_every > 0, "Trainer: watch_every must be positive, got {}",
          options_.watch_every);
  if (!options_.save)
    options_.save = [&graph = executor.graph()](const std::string& path, io::ModelExtras extras) {
      io::save_model(path, graph, extras);
    };
  const bool resumes =
      options_.checkpoints != nullptr && !options_.checkpoints->resumed_path().empty();
  if (resumes) {
    state_ = options_.checkpoints->resumed_state();
    load_training_state(state_.training, executor_, data_, optimizer_);
  } else {
    state_.training.data = data_.state();
  }
  note_step();
  if (resumes && options_.restore) options_.restore(state_, step_);
}

TrainingEnd Trainer::run() {
  // An epoch of which all batches are done was interrupted in its validation.
  const Metrics part = state_.training.epoch;
  const bool only_validation = part.images > 0 && state_.training.data.batch == 0;
  std::int64_t epoch = state_.training.data.epoch - (only_validation ? 1 : 0);
  try {
    for (bool first = true; epoch < options_.epochs; ++epoch, first = false) {
      if (is_patience_over()) return TrainingEnd::patience;
      if (options_.before_epoch) options_.before_epoch(epoch);
      const Metrics before = first ? part : Metrics{};
      finish_epoch(epoch, before, first && only_validation ? part : train(epoch, before));
    }
  } catch (const Stop&) {
    data_.load_state(state_.training.data);  // the loop was left in the middle
    return TrainingEnd::stopped;
  }
  return TrainingEnd::all_epochs;
}

void Trainer::save_checkpoint() {
  if (options_.checkpoints == nullptr) return;
  note_state(state_.training.epoch);
  options_.checkpoints->write(state_, step_, options_.save);
}

Metrics Trainer::train(std::int64_t epoch, const Metrics& before) {
  const std::int64_t batches = data_.size();
  const auto before_step = [&](std::int64_t batch) {
    const double done = static_cast<double>(batch) / static_cast<double>(batches);
    if (options_.schedule)
      apply_schedule(options_.schedule, static_cast<double>(epoch) + done, optimizer_);
  };
  const auto on_progress = [&](const Progress& progress) {
    if (options_.on_progress) options_.on_progress(progress);
    if (progress.batch % options_.watch_every == 0 || progress.batch == batches) look();
    step_ = epoch * batches + progress.batch;
    after_step(progress.metrics);
  };
  return train_one_epoch(executor_, data_, loss_, optimizer_,
                         {.before = before,
                          .check_numerics = options_.check_numerics,
                          .clip_grad_norm = options_.clip_grad_norm,
                          .before_step = before_step,
                          .after_backward = options_.after_backward,
                          .scores = options_.scores,
                          .on_progress = on_progress});
}

void Trainer::finish_epoch(std::int64_t epoch, const Metrics& before, const Metrics& train) {
  const auto images = static_cast<double>(train.images - before.images);
  EpochFigures figures{.loss = train.loss,
                       .top1 = in_figures(train.top1),
                       .top5 = in_figures(train.top5),
                       .seconds = train.seconds,
                       .lr = options_.schedule ? options_.schedule(optimizer_.initial_lr(),
                                                                   static_cast<double>(epoch))
                                               : optimizer_.lr(),
                       .images_per_s = train.seconds > 0 ? images / train.seconds : 0};
  if (options_.validate) {
    const std::optional<Metrics> validation = options_.validate();
    if (!validation) {  // the epoch's training is saved, the validation is done again
      note_state(train);
      note_step();
      if (options_.checkpoints != nullptr)
        options_.checkpoints->write(state_, step_, options_.save);
      throw Stop();
    }
    figures.loss_validation = validation->loss;
    figures.top1_validation = in_figures(validation->top1);
    figures.top5_validation = in_figures(validation->top5);
    figures.seconds += validation->seconds;
  }
  state_.epochs.push_back(figures);
  if (options_.on_epoch) options_.on_epoch(epoch, figures);
  note_state({});
  note_step();
  if (options_.checkpoints != nullptr)
    options_.checkpoints->end_epoch(state_, step_, options_.save);
  after_step({});
}

void Trainer::look() {
  if (!options_.watch) return;
  for (const std::string& warning : options_.watch()) {
    if (options_.on_warning) options_.on_warning(warning);
    warnings_.push_back(warning);
  }
}

void Trainer::after_step(const Metrics& epoch) {
  const bool stop = options_.stop && options_.stop();
  const bool due = options_.checkpoints != nullptr && options_.checkpoints->is_due(step_);
  if (!stop && !due) return;
  note_state(epoch);
  if (options_.checkpoints != nullptr) options_.checkpoints->write(state_, step_, options_.save);
  if (stop) throw Stop();
}

void Trainer::note_state(const Metrics& epoch) {
  // A model that is not finite any more must not take the place of one that was.
  if (options_.check_numerics != CheckNumerics::off)
    if (const std::string bad = find_not_finite_parameter(executor_.graph()); !bad.empty())
      fail("{}; try a lower learning rate", bad);
  if (options_.checkpoints != nullptr) {
    state_.training = training_state(executor_, data_, optimizer_);
    state_.kept = {};
    if (options_.keep) options_.keep(state_.kept);
  } else {
    state_.training.data = data_.state();  // nobody wants a copy of the momentum
  }
  state_.training.epoch = epoch;
}

void Trainer::note_step() {
  const DataLoaderState& at = state_.training.data;
  step_ = at.epoch * data_.size() + at.batch;
}

bool Trainer::is_patience_over() const {
  const std::optional<std::size_t> best = best_epoch(state_.epochs);
  if (!options_.patience || !best) return false;
  return static_cast<std::int64_t>(state_.epochs.size() - 1 - *best) >= *options_.patience;
}

}  // namespace rung::nn
