#include "rung/analysis/training_recorder.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "analysis/code_watch.h"
#include "analysis/training_columns.h"
#include "core/check.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::analysis {
namespace {

const std::string kKept = "training_record";  // in checkpoints

double sum_of_squares(std::span<const float> numbers) {
  double sum = 0.0;
  for (const float x : numbers) sum += static_cast<double>(x) * x;
  return sum;
}

/// Returns the Euclidean norm of the gradients of these parameters.
double gradient_norm(std::span<Parameter* const> parameters) {
  double squares = 0.0;
  for (Parameter* parameter : parameters)
    if (parameter->has_grad()) squares += sum_of_squares(parameter->grad().data());
  return std::sqrt(squares);
}

/// What one quantizer's columns are made of.
struct WatchedRange {
  QuantizerHandle quantizer;
  std::vector<Parameter*> learned;  // its parameters that are trained
};

/// Returns the lowest and the highest number that any channel's codes cover.
Range range_of(const QuantizerHandle& quantizer) {
  const std::vector<Range> ranges = quantizer.ranges();
  Range widest = ranges.front();
  for (const Range& each : ranges) {
    widest.min = std::min(widest.min, each.min);
    widest.max = std::max(widest.max, each.max);
  }
  return widest;
}

}  // namespace

struct TrainingRecorder::Impl {
  Impl(Executor& executor, const nn::Optimizer& optimizer, const RecorderOptions& options);

  void after_backward();
  void on_progress(const nn::Progress& progress);
  void on_epoch(const nn::EpochFigures& figures);
  void keep(io::ModelExtras& kept) const;
  void restore(const nn::RunState& state, std::int64_t step);

  void open_point();
  void halve();
  void write(const std::vector<double>& now);

  const nn::Optimizer& optimizer;
  RecorderOptions options;
  std::vector<Parameter*> parameters, weights;
  std::list<WatchedRange> ranges;
  std::map<std::string, CodeWatch> codes;

  TrainingRecord record;
  std::int64_t step = 0;      // steps that are done
  std::int64_t in_point = 0;  // steps that the last point stands for
  std::vector<double> now;    // of the step under way, in the order of for_each_column
  nn::Metrics before = {};    // of the epoch, up to the step before
};

TrainingRecorder::Impl::Impl(Executor& executor, const nn::Optimizer& used,
                             const RecorderOptions& wanted)
    : optimizer(used), options(wanted) {
  require(options.max_points >= 2 && options.max_points % 2 == 0 && options.max_weights > 0,
          "TrainingRecorder: max_points must be even and at least 2, max_weights at least 1, got "
          "{} and {}",
          options.max_points, options.max_weights);
  for (Parameter* parameter : executor.graph().parameters()) {
    if (!parameter->requires_grad()) continue;
    parameters.push_back(parameter);
    if (parameter->role() != Role::weight) continue;
    weights.push_back(parameter);
    record.weight_gradient_norms[parameter->name()];
  }
  std::set<const Parameter*> seen;
  for (const QuantizerHandle& quantizer : find_quantizers(executor.graph())) {
    if (!quantizer.enabled() || !quantizer.initialized()) continue;
    if (quantizer.op().quantizer().pass_through()) continue;
    const std::vector<Parameter*> own = quantizer.parameters();
    if (!own.empty() && !seen.insert(own.front()).second) continue;
    WatchedRange& watched = ranges.emplace_back(quantizer);
    for (Parameter* parameter : own)
      if (parameter->requires_grad()) watched.learned.push_back(parameter);
    record.ranges[quantizer.name()].learned = !watched.learned.empty();
    if (!CodeWatch::can_watch(quantizer)) continue;
    const auto watch =
        codes.emplace(quantizer.name(), CodeWatch(quantizer, options.max_weights)).first;
    record.codes[quantizer.name()].weights = watch->second.weights();
  }
}

/// Between backward and the step everything is what the loss was computed with. Numbers are written
/// in the order of for_each_column, which goes through maps by name.
void TrainingRecorder::Impl::after_backward() {
  std::map<std::string, double> by_weight;
  for (Parameter* weight : weights) by_weight[weight->name()] = gradient_norm({&weight, 1});
  std::map<std::string, std::vector<double>> by_range;
  for (const WatchedRange& each : ranges) {
    const Range range = range_of(each.quantizer);
    std::vector<double>& numbers = by_range[each.quantizer.name()];
    numbers = {range.min, range.max};
    if (!each.learned.empty()) numbers.push_back(gradient_norm(each.learned));
  }
  now = {0.0, 0.0, optimizer.lr(), gradient_norm(parameters)};
  for (const auto& [name, norm] : by_weight) now.push_back(norm);
  for (const auto& [name, numbers] : by_range)
    now.insert(now.end(), numbers.begin(), numbers.end());
  for (auto& [name, watch] : codes) {
    const CodeWatch::Shares shares = watch.look();
    for (const double share : {shares.flipped, shares.oscillating, shares.frozen})
      now.push_back(share);
  }
}

void TrainingRecorder::Impl::on_progress(const nn::Progress& progress) {
  if (progress.batch == 1) before = {};
  const nn::Metrics of_step = progress.metrics.since(before);
  now[0] = of_step.loss;
  now[1] = of_step.top1;
  before = progress.metrics;
  ++step;
  open_point();
  write(now);
}

/// Makes the last point the one of the present step.
void TrainingRecorder::Impl::open_point() {
  if (record.steps.empty() || in_point == record.steps_per_point) {
    if (static_cast<std::int64_t>(record.steps.size()) == options.max_points) halve();
    record.steps.push_back(step);
    in_point = 0;
  }
  record.steps.back() = step;
  ++in_point;
}

void TrainingRecorder::Impl::write(const std::vector<double>& numbers) {
  std::size_t at = 0;
  for_each_column(record, [&](const std::string&, std::vector<double>& column, Sums sums) {
    const double x = numbers[at++];
    if (in_point == 1)
      column.push_back(x);
    else if (sums == Sums::last)
      column.back() = x;
    else
      column.back() += (x - column.back()) / static_cast<double>(in_point);
  });
}

/// Makes one point of each two; all of them stand for as many steps.
void TrainingRecorder::Impl::halve() {
  const std::size_t half = record.steps.size() / 2;
  for (std::size_t i = 0; i < half; ++i) record.steps[i] = record.steps[2 * i + 1];
  record.steps.resize(half);
  for_each_column(record, [&](const std::string&, std::vector<double>& column, Sums sums) {
    for (std::size_t i = 0; i < half; ++i) {
      const double first = column[2 * i], second = column[2 * i + 1];
      column[i] = sums == Sums::last ? second : (first + second) / 2.0;
    }
    column.resize(half);
  });
  record.steps_per_point *= 2;
}

void TrainingRecorder::Impl::on_epoch(const nn::EpochFigures& figures) {
  EpochHistory& epochs = record.epochs;
  epochs.step.push_back(step);
  epochs.loss.push_back(figures.loss);
  epochs.top1.push_back(figures.top1);
  for (const auto& [column, figure] : {std::pair(&epochs.top5, figures.top5),
                                       std::pair(&epochs.loss_validation, figures.loss_validation),
                                       std::pair(&epochs.top1_validation, figures.top1_validation),
                                       std::pair(&epochs.top5_validation, figures.top5_validation)})
    if (figure) column->push_back(*figure);
  epochs.lr.push_back(figures.lr);
  epochs.seconds.push_back(figures.seconds);
}

void TrainingRecorder::Impl::keep(io::ModelExtras& kept) const {
  if (record.steps.empty()) return;
  kept.sections[kKept] = to_json(record);
  for (const auto& [name, watch] : codes)
    kept.tensors.emplace_back(kKept + "." + name, watch.state());
}

void TrainingRecorder::Impl::restore(const nn::RunState& state, std::int64_t steps) {
  step = steps;
  record.first_step = step + 1;
  before = state.training.epoch;
  const auto found = state.kept.sections.find(kKept);
  if (found == state.kept.sections.end()) return;  // that run was not recorded
  TrainingRecord old = training_record_from_json(found->second, kKept);
  require(columns_of(old) == columns_of(record) && old.steps.back() == step,
          "{}: the record of the checkpoint is that of another run", kKept);
  std::map<std::string, const Tensor*> tensors;
  for (const auto& [name, tensor] : state.kept.tensors) tensors[name] = &tensor;
  for (auto& [name, watch] : codes) {
    const auto tensor = tensors.find(kKept + "." + name);
    require(tensor != tensors.end() && old.codes[name].weights == watch.weights(),
            "{}: the checkpoint does not have the codes of {}", kKept, name);
    watch.load_state(*tensor->second, kKept);
  }
  record = std::move(old);
  in_point = record.steps.size() > 1 ? step - record.steps[record.steps.size() - 2]
                                     : step - record.first_step + 1;
}

TrainingRecorder::TrainingRecorder(Executor& executor, const nn::Optimizer& optimizer,
                                   const RecorderOptions& options)
    : impl_(std::make_unique<Impl>(executor, optimizer, options)) {}

TrainingRecorder::~TrainingRecorder() = default;

namespace {

/// Returns a callback that calls `first`, if it is there, and then `second`.
template <typename... Arguments, typename Second>
std::function<void(Arguments...)> both(std::function<void(Arguments...)> first, Second second) {
  return [first = std::move(first), second = std::move(second)](Arguments... arguments) {
    if (first) first(arguments...);
    second(arguments...);
  };
}

}  // namespace

void TrainingRecorder::listen_to(nn::TrainerOptions& options) {
  Impl* impl = impl_.get();
  options.after_backward =
      both(std::move(options.after_backward), [impl](std::int64_t) { impl->after_backward(); });
  options.on_progress = both(std::move(options.on_progress),
                             [impl](const nn::Progress& progress) { impl->on_progress(progress); });
  options.on_epoch =
      both(std::move(options.on_epoch),
           [impl](std::int64_t, const nn::EpochFigures& figures) { impl->on_epoch(figures); });
  options.keep = both(std::move(options.keep), [impl](io::ModelExtras& kept) { impl->keep(kept); });
  options.restore =
      both(std::move(options.restore),
           [impl](const nn::RunState& state, std::int64_t step) { impl->restore(state, step); });
}

const TrainingRecord& TrainingRecorder::record() const { return impl_->record; }

}  // namespace rung::analysis
