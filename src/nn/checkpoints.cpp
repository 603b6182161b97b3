#include "rung/nn/checkpoints.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "io/files/json.h"
#include "rung/io/output_file.h"

namespace rung::nn {
namespace {

namespace fs = std::filesystem;
using io::Json;
using io::JsonPlace;

constexpr const char* kSettings = "configuration";
constexpr const char* kEpochs = "epochs";
const std::string kKept = "kept.";  // begins the names of what the program keeps

/// The checkpoints of a folder, newest first. Names end in the step, with leading zeros.
std::vector<fs::path> checkpoints_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".rung")) found.push_back(entry.path());
  }
  std::ranges::sort(found, std::greater<>{});
  return found;
}

/// Makes the folder if it is not there; returns true if it was not.
bool make_folder(const fs::path& folder) {
  std::error_code error;
  const bool is_new = fs::create_directory(folder, error);
  require(!error, "cannot create the folder {}: {}", folder.string(), error.message());
  return is_new;
}

/// Throws Error if checkpoints cannot be written, before there is something to lose. Being told to
/// stop makes even a run without checkpoints write one.
void check_folder(const fs::path& folder) {
  const bool is_new = make_folder(folder);
  std::error_code ignored;
  try {
    io::check_can_write(folder / "step-000000000.rung");
  } catch (const Error&) {
    if (is_new) fs::remove(folder, ignored);
    throw;
  }
  if (is_new) fs::remove(folder, ignored);
}

// ---- figures, as they stand in the section: in percent, in this order. JSON has no NaN.

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double number_of(const JsonPlace& place) {
  return place.json().is_null() ? std::numeric_limits<double>::quiet_NaN() : place.number();
}

Json percent(const std::optional<double>& share) {
  return share ? Json(std::round(*share * 1e4) / 1e2) : Json(nullptr);
}

std::optional<double> share_of(const JsonPlace& place) {
  if (place.json().is_null()) return {};
  return std::round(place.number() * 1e2) / 1e4;
}

Json to_json(const EpochFigures& figures) {
  return {number(figures.loss),
          percent(figures.top1),
          percent(figures.top1_validation),
          number(figures.seconds),
          number(figures.lr),
          number(figures.images_per_s),
          percent(figures.top5),
          percent(figures.top5_validation),
          figures.loss_validation ? number(*figures.loss_validation) : Json("none")};
}

EpochFigures figures_of(const JsonPlace& place) {
  const auto at = [&](std::size_t i) { return place[i]; };
  EpochFigures figures{.loss = number_of(at(0)), .top1 = share_of(at(1)).value_or(0)};
  figures.top1_validation = share_of(at(2));
  figures.seconds = number_of(at(3));
  figures.lr = number_of(at(4));
  figures.images_per_s = number_of(at(5));
  if (place.size() == 6) return figures;  // a file of an earlier version
  figures.top5 = share_of(at(6));
  figures.top5_validation = share_of(at(7));
  if (!at(8).json().is_string()) figures.loss_validation = number_of(at(8));
  return figures;
}

}  // namespace

std::optional<std::size_t> best_epoch(const std::vector<EpochFigures>& epochs) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    const std::optional<double>& top1 = epochs[i].top1_validation;
    if (top1 && (!best || *top1 > *epochs[*best].top1_validation)) best = i;
  }
  return best;
}

Checkpoints::Checkpoints(CheckpointOptions options)
    : options_(std::move(options)), timer_(options_.every) {
  require(!options_.folder.empty(), "Checkpoints: there is no folder; set one in the options");
  require(options_.keep > 0, "Checkpoints: keep must be positive, got {}", options_.keep);
  io::remove_unfinished(fs::path(options_.folder) / "step-");
  if (!options_.best.empty()) io::remove_unfinished(options_.best);
  check_folder(options_.folder);
  if (!options_.best.empty()) io::check_can_write(options_.best);
  if (options_.resume.empty())
    require(checkpoints_in(options_.folder).empty(),
            "{} has checkpoints of a run that did not end: {}, or delete them", options_.folder,
            options_.how_to_resume);
  else if (options_.resume == "auto")
    find();
  else
    load(options_.resume);
}

void Checkpoints::find() {
  const std::vector<fs::path> found = checkpoints_in(options_.folder);
  for (const fs::path& path : found) {
    // A run that was killed while it wrote has left only whole files; a disk may do worse.
    try {
      load(path.string());
      return;
    } catch (const Error& error) {
      if (resumed_) throw;
      if (options_.on_warning)
        options_.on_warning(fmt::format("{}: trying the one before", error.what()));
    }
  }
  require(found.empty(), "none of the {} checkpoints in {} can be read", found.size(),
          options_.folder);
}

void Checkpoints::load(const std::string& path) {
  io::ModelFile file = io::load_model(path);
  RunState state{.training = training_state_of(file, path)};
  require(file.sections.contains(kRunSection), "{}: is a checkpoint, but none of {}", path,
          options_.written_by);
  const std::string source = fmt::format("{}: section {}", path, kRunSection);
  const Json json = io::parse_json(file.sections.at(kRunSection), source);
  const JsonPlace place(json, source);
  const JsonPlace epochs = place[kEpochs];
  epochs.array();
  for (std::size_t i = 0; i < epochs.size(); ++i) state.epochs.push_back(figures_of(epochs[i]));
  for (const auto& [name, text] : file.sections)
    if (name.starts_with(kKept)) state.kept.sections[name.substr(kKept.size())] = text;
  for (const auto& [name, tensor] : file.tensors)
    if (name.starts_with(kKept)) state.kept.tensors.emplace_back(name.substr(kKept.size()), tensor);
  RunSettings settings;
  const JsonPlace was = place[kSettings];
  for (const auto& [name, value] : was.object().json().items()) settings[name] = was[name].string();
  std::map<std::string, double> notes;
  for (const auto& [name, value] : json.items())
    if (name != kSettings && name != kEpochs) notes[name] = place[name].number();
  resumed_ = std::move(file);
  resumed_state_ = std::move(state);
  resumed_path_ = path;
  notes_ = std::move(notes);
  check_same(settings, options_.settings, path, options_.accepts);
}

std::optional<io::ModelFile> Checkpoints::take_resumed() { return std::exchange(resumed_, {}); }

std::optional<double> Checkpoints::note(const std::string& name) const {
  const auto found = notes_.find(name);
  return found == notes_.end() ? std::nullopt : std::optional(found->second);
}

void Checkpoints::set_note(const std::string& name, double value) {
  require(name != kSettings && name != kEpochs && std::isfinite(value),
          "Checkpoints::set_note: {} = {}: the number must be finite, the name none of {}, {}",
          name, value, kSettings, kEpochs);
  notes_[name] = value;
}

void Checkpoints::write(const RunState& state, std::int64_t step, const SaveModel& save) {
  if (step == written_) return;
  const fs::path folder(options_.folder);
  make_folder(folder);
  io::ModelExtras extras;
  add_training_state(extras, state.training);
  Json json(notes_);
  json[kSettings] = options_.settings;
  json[kEpochs] = Json::array();
  for (const EpochFigures& figures : state.epochs) json[kEpochs].push_back(to_json(figures));
  extras.sections[kRunSection] = io::dump_json(json, kRunSection);
  for (const auto& [name, text] : state.kept.sections) extras.sections[kKept + name] = text;
  for (const auto& [name, tensor] : state.kept.tensors)
    extras.tensors.emplace_back(kKept + name, tensor);
  std::error_code ignored;
  try {
    save((folder / fmt::format("step-{:09}.rung", step)).string(), std::move(extras));
  } catch (...) {
    fs::remove(folder, ignored);  // only if it is empty
    throw;
  }
  written_ = step;
  const std::vector<fs::path> all = checkpoints_in(folder);
  for (std::size_t i = static_cast<std::size_t>(options_.keep); i < all.size(); ++i)
    fs::remove(all[i], ignored);
}

void Checkpoints::end_epoch(const RunState& state, std::int64_t step, const SaveModel& save) {
  const bool is_best = best_epoch(state.epochs) == state.epochs.size() - 1;
  if (!options_.best.empty() && is_best) save(options_.best, {});
  written_ = -1;  // what was written before the validation does not have its figures
  if (options_.every == kEveryEpoch) write(state, step, save);
}

std::string Checkpoints::newest() const {
  const std::vector<fs::path> all = checkpoints_in(options_.folder);
  return all.empty() ? resumed_path_ : all.front().string();
}

void Checkpoints::finish() {
  std::error_code ignored;
  for (const fs::path& path : checkpoints_in(options_.folder)) fs::remove(path, ignored);
  fs::remove(options_.folder, ignored);  // only if nothing else is in it
}

}  // namespace rung::nn
