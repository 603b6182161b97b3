#include "rung/quantsim/calibration.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "io/files/json.h"
#include "rung/io/model_file.h"
#include "rung/io/output_file.h"
#include "rung/nn/interval.h"

namespace rung::quantsim {
namespace {

using io::Json;
using io::JsonPlace;

constexpr const char* kSection = "calibration";
constexpr const char* kEstimators = "estimators";
constexpr const char* kSettings = "configuration";
constexpr const char* kBatches = "batches";

/// Leaves the callback of compute_encodings(), which puts everything back.
struct Stop {};

}  // namespace

Calibration::Calibration(CalibrationRunOptions options) : options_(std::move(options)) {
  require(!options_.file.empty(), "Calibration: there is no file; set one in the options");
  io::remove_unfinished(options_.file);
  io::check_can_write(options_.file);  // before there is something to lose
  if (!std::filesystem::exists(options_.file)) return;
  require(options_.resume, "{} is a calibration that did not end: {}, or delete it", options_.file,
          options_.how_to_resume);
  load();
}

void Calibration::load() {
  const io::ModelFile file = io::load_model(options_.file);
  const std::string source = fmt::format("{}: section {}", options_.file, kSection);
  require(file.sections.contains(kSection) && file.sections.contains(kEstimators),
          "{}: is a model, but no calibration that did not end", options_.file);
  const Json json = io::parse_json(file.sections.at(kSection), source);
  const JsonPlace place(json, source);
  batches_ = place[kBatches].integer(0, std::numeric_limits<std::int64_t>::max());
  estimators_ = file.sections.at(kEstimators);
  nn::RunSettings settings;
  const JsonPlace was = place[kSettings];
  for (const auto& [name, value] : was.object().json().items()) settings[name] = was[name].string();
  for (const auto& [name, value] : json.items())
    if (name != kSettings && name != kBatches) notes_[name] = place[name].number();
  nn::check_same(settings, options_.settings, options_.file, options_.accepts);
  resumed_batches_ = batches_;
}

void Calibration::save(QuantizationSimModel& sim) const {
  Json json(notes_);
  json[kSettings] = options_.settings;
  json[kBatches] = batches_;
  // The model is not in it: the next run makes the same one anew.
  io::save_model(options_.file, Graph(),
                 {.sections = {{kSection, io::dump_json(json, kSection)},
                               {kEstimators, calibration_state(sim)}},
                  .tensors = {}});
}

std::optional<double> Calibration::note(const std::string& name) const {
  const auto found = notes_.find(name);
  return found == notes_.end() ? std::nullopt : std::optional(found->second);
}

void Calibration::set_note(const std::string& name, double value) {
  require(name != kSettings && name != kBatches && std::isfinite(value),
          "Calibration::set_note: {} = {}: the number must be finite, the name none of {}, {}",
          name, value, kSettings, kBatches);
  notes_[name] = value;
}

void Calibration::see(QuantizationSimModel& sim, nn::DataLoader& loader, Executor& executor) {
  if (!estimators_.empty()) {
    load_calibration_state(sim, estimators_);
    if (batches_ >= loader.size()) return;
    nn::DataLoaderState position = loader.state();
    position.batch = batches_;
    loader.load_state(position);
  }
  nn::IntervalTimer timer(options_.every);
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  nn::Progress progress{.batch = loader.state().batch, .batches = loader.size(), .metrics = {}};
  for (const nn::Batch& batch : loader) {
    (void)executor.forward(batch.images, Mode::eval);
    batches_ = ++progress.batch;
    progress.metrics.images += batch.size();
    progress.metrics.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (options_.on_progress) options_.on_progress(progress);
    const bool stop = options_.stop && options_.stop();
    if (timer.is_due(batches_) || stop) save(sim);
    if (!stop) continue;
    estimators_ = calibration_state(sim);  // run() may be called again
    throw Stop();
  }
}

bool Calibration::run(QuantizationSimModel& sim, nn::DataLoader& loader) {
  const nn::DataLoaderState start = loader.state();
  try {
    sim.compute_encodings([&](Executor& executor) { see(sim, loader, executor); },
                          options_.encodings);
  } catch (const Stop&) {
    loader.load_state(start);  // the loop was left in the middle
    return false;
  }
  return true;
}

void Calibration::finish() {
  std::error_code ignored;
  std::filesystem::remove(options_.file, ignored);
}

}  // namespace rung::quantsim
