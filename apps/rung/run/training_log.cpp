#include "run/training_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "run/options.h"
#include "rung/core/error.h"
#include "rung/io/text_file.h"
#include "rung/nn/numerics.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

/// A cell of a table: empty if there is no such figure.
std::string cell(const std::optional<double>& figure) {
  return figure && std::isfinite(*figure) ? fmt::format("{}", *figure) : std::string();
}

std::optional<double> percent(const std::optional<double>& share) {
  return share ? std::optional(cli::percent(*share)) : std::nullopt;
}

constexpr const char* kKept = "event_files";  // in checkpoints
constexpr const char* kRun = "run.txt";       // names the model whose curves a folder has

/// Returns what a file says; nothing if there is none.
std::string text_of(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) ? io::read_text_file(path) : std::string();
}

io::EventFileSizes files_of_section(const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<io::EventFileSizes>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("the checkpoint's section {}: {}", kKept, error.what()));
  }
}

}  // namespace

std::vector<std::string> files_of(const LogOptions& options) {
  std::vector<std::string> files;
  if (!options.record.empty()) files.push_back(options.record);
  return files;
}

void check(const LogOptions& options, bool resumes) {
  if (options.log_dir.empty() || resumes || !io::has_event_files(options.log_dir)) return;
  throw Error(fmt::format(
      "--log-dir {}: has the curves of another run: name another folder, or go on with --resume",
      options.log_dir));
}

TrainingLog::TrainingLog(const LogOptions& options, Executor& executor,
                         const nn::Optimizer& optimizer)
    : options_(options), executor_(executor), optimizer_(optimizer) {
  if (!options_.record.empty()) recorder_.emplace(executor, optimizer);
}

void TrainingLog::listen_to(nn::TrainerOptions& options) {
  if (recorder_) recorder_->listen_to(options);
  options.after_backward = [this, first = options.after_backward](std::int64_t batch) {
    if (first) first(batch);
    if (writer_)
      gradient_norm_ = nn::clip_grad_norm(executor_.graph().parameters(),
                                          std::numeric_limits<double>::max());  // clips nothing
  };
  options.on_progress = [this, first = options.on_progress](const nn::Progress& progress) {
    if (first) first(progress);
    if (progress.batch == 1) before_ = {};
    ++step_;
    add_step(progress.metrics.since(before_));
    before_ = progress.metrics;
  };
  options.on_epoch = [this, first = options.on_epoch](std::int64_t epoch,
                                                      const nn::EpochFigures& figures) {
    if (first) first(epoch, figures);
    add_epoch(figures);
  };
  options.keep = [this, first = options.keep](io::ModelExtras& kept) {
    if (first) first(kept);
    if (writer_) kept.sections[kKept] = nlohmann::json(writer_->files()).dump();
  };
  options.restore = [this, first = options.restore](const nn::RunState& state, std::int64_t step) {
    if (first) first(state, step);
    step_ = step;
    before_ = state.training.epoch;
    epochs_ = state.epochs;
    const auto found = state.kept.sections.find(kKept);
    if (found != state.kept.sections.end()) files_ = files_of_section(found->second);
  };
}

void TrainingLog::open(const std::string& out, bool resumes) {
  if (options_.log_dir.empty()) return;
  const fs::path folder(options_.log_dir);
  const std::string model = fs::absolute(out).lexically_normal().string() + "\n";
  // Checkpoints know the run's files; before the first of them the folder says whose they are.
  const bool are_its_own = step_ > 0 ? !files_.empty() : text_of(folder / kRun) == model;
  check(options_, resumes && are_its_own);
  io::SummaryWriterOptions options{.log_dir = options_.log_dir};
  if (resumes) options.resume = {.next_step = step_ + 1, .files = files_};
  writer_ = std::make_unique<io::SummaryWriter>(options);
  io::write_text_file(folder / kRun, model);
  write_csv();
}

void TrainingLog::add_step(const nn::Metrics& figures) {
  if (!writer_) return;
  writer_->add_scalar("loss/step", figures.loss, step_);
  writer_->add_scalar("top1/step", 100 * figures.top1, step_);
  if (figures.top5) writer_->add_scalar("top5/step", 100 * *figures.top5, step_);
  writer_->add_scalar("lr", optimizer_.lr(), step_);
  writer_->add_scalar("gradient_norm", gradient_norm_, step_);
}

void TrainingLog::add_epoch(const nn::EpochFigures& figures) {
  epochs_.push_back(figures);
  if (writer_) {
    writer_->add_scalar("loss/train", figures.loss, step_);
    writer_->add_scalar("top1/train", cli::percent(figures.top1), step_);
    for (const auto& [tag, figure] :
         {std::pair("top5/train", percent(figures.top5)),
          std::pair("loss/validation", figures.loss_validation),
          std::pair("top1/validation", percent(figures.top1_validation)),
          std::pair("top5/validation", percent(figures.top5_validation))})
      if (figure) writer_->add_scalar(tag, *figure, step_);
    add_model();
    writer_->flush();
  }
  try {
    write_record();
    write_csv();
  } catch (const Error&) {  // a run of hours goes on; at its end there may be room
  }
}

/// Adds the weights, and the ranges of activations.
void TrainingLog::add_model() {
  for (const Parameter* weight : executor_.graph().parameters(Role::weight))
    writer_->add_histogram("weights/" + weight->name(), weight->value().data(), step_);
  for (const QuantizerHandle& quantizer : find_quantizers(executor_.graph())) {
    const bool has_range = quantizer.enabled() && quantizer.initialized();
    if (!has_range || quantizer.place() == QuantizerPlace::parameter) continue;
    std::vector<float> ends;
    float min = 0, max = 0;  // zero is in every range
    for (const Range& range : quantizer.ranges()) {
      ends.insert(ends.end(), {range.min, range.max});
      min = std::min(min, range.min);
      max = std::max(max, range.max);
    }
    writer_->add_scalar("range_min/" + quantizer.name(), min, step_);
    writer_->add_scalar("range_max/" + quantizer.name(), max, step_);
    writer_->add_histogram("ranges/" + quantizer.name(), ends, step_);
  }
}

void TrainingLog::finish(const nn::Metrics& test) {
  write_record();
  write_csv();
  if (!writer_) return;
  writer_->add_scalar("loss/test", test.loss, step_);
  writer_->add_scalar("top1/test", cli::percent(test.top1), step_);
  if (test.top5) writer_->add_scalar("top5/test", cli::percent(*test.top5), step_);
  writer_->flush();
}

void TrainingLog::write_record() const {
  if (recorder_)
    io::write_text_file(options_.record, analysis::to_json(recorder_->record()) + "\n");
}

/// One line for each epoch, made anew each time: those before an interruption are there, too.
void TrainingLog::write_csv() const {
  if (!writer_) return;
  std::string text =
      "epoch,loss,top1_train,top5_train,loss_val,top1_val,top5_val,lr,seconds,images_per_s\n";
  for (std::size_t i = 0; i < epochs_.size(); ++i) {
    const nn::EpochFigures& each = epochs_[i];
    text +=
        fmt::format("{},{},{},{},{},{},{},{},{},{}\n", i + 1, cell(each.loss),
                    cell(percent(each.top1)), cell(percent(each.top5)), cell(each.loss_validation),
                    cell(percent(each.top1_validation)), cell(percent(each.top5_validation)),
                    cell(each.lr), cell(each.seconds), cell(each.images_per_s));
  }
  io::write_text_file(fs::path(options_.log_dir) / "metrics.csv", text);
}

}  // namespace rung::cli
