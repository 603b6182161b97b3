#include "run/training_log.h"

#include <cstdint>
#include <utility>

#include "rung/core/error.h"
#include "rung/io/text_file.h"

namespace rung::cli {

std::vector<std::string> files_of(const LogOptions& options) {
  std::vector<std::string> files;
  if (!options.record.empty()) files.push_back(options.record);
  return files;
}

TrainingLog::TrainingLog(const LogOptions& options, Executor& executor,
                         const nn::Optimizer& optimizer)
    : options_(options) {
  if (!options_.record.empty()) recorder_.emplace(executor, optimizer);
}

void TrainingLog::listen_to(nn::TrainerOptions& options) {
  if (!recorder_) return;
  recorder_->listen_to(options);
  options.on_epoch = [this, first = std::move(options.on_epoch)](std::int64_t epoch,
                                                                 const nn::EpochFigures& figures) {
    first(epoch, figures);
    try {
      write();
    } catch (const Error&) {  // a run of hours goes on; at its end there may be room
    }
  };
}

void TrainingLog::write() const {
  if (recorder_)
    io::write_text_file(options_.record, analysis::to_json(recorder_->record()) + "\n");
}

}  // namespace rung::cli
