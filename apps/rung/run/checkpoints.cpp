#include "run/checkpoints.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "console/interrupt.h"
#include "console/messages.h"
#include "run/section.h"
#include "rung/core/error.h"
#include "rung/io/output_file.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kResumeHint = "go on with --resume auto";

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

/// Throws Error if checkpoints cannot be written, before there is something to lose. A signal makes
/// even a run without checkpoints write one.
void check_folder(const fs::path& folder) {
  std::error_code error;
  const bool is_new = fs::create_directory(folder, error);
  if (error)
    throw Error(fmt::format("cannot create the folder {}: {}", folder.string(), error.message()));
  try {
    io::check_can_write(folder / "step-000000000.rung");
  } catch (const Error&) {
    if (is_new) fs::remove(folder, error);
    throw;
  }
  if (is_new) fs::remove(folder, error);
}

Json to_json(const EpochFigures& figures) {
  const Json top1_val = figures.top1_val ? Json(*figures.top1_val) : Json(nullptr);
  return {figures.loss,    figures.top1_train, top1_val,
          figures.seconds, figures.lr,         figures.images_per_s};
}

EpochFigures figures_of(const Json& json) {
  EpochFigures figures{.loss = json.at(0), .top1_train = json.at(1)};
  if (!json.at(2).is_null()) figures.top1_val = json.at(2).get<double>();
  figures.seconds = json.at(3), figures.lr = json.at(4), figures.images_per_s = json.at(5);
  return figures;
}

}  // namespace

void add_checkpoint_options(Command& command, CheckpointOptions& options) {
  command.group("Checkpoints");
  command.option("--checkpoint-every WHEN", options.every,
                 "when to save, in OUT.checkpoints: epoch, never, steps (500) or minutes (10m)",
                 check_interval);
  command.option("--checkpoints N", options.keep, "how many of them to keep", between(1, 1e6));
  command.option("--resume FILE", options.resume,
                 "go on from a checkpoint; auto: from the newest, if there is one");
  command.flag("--keep-best", options.keep_best,
               "also keep the model of the epoch that was best on the validation images, as "
               "OUT.best");
}

std::optional<std::size_t> best_epoch(const std::vector<EpochFigures>& epochs) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < epochs.size(); ++i)
    if (epochs[i].top1_val && (!best || *epochs[i].top1_val > *epochs[*best].top1_val)) best = i;
  return best;
}

Checkpoints::Checkpoints(const CheckpointOptions& options, const std::string& out,
                         const Configuration& configuration, const Console& console)
    : options_(options),
      folder_(out + ".checkpoints"),
      best_(out + ".best"),
      configuration_(storable(configuration)),
      console_(console),
      timer_(options.every) {
  for (const fs::path& path : {folder_ / "step-", best_}) io::remove_unfinished(path);
  check_folder(folder_);
  if (options.keep_best) io::check_can_write(best_);
  const std::vector<fs::path> found = checkpoints_in(folder_);
  if (options.resume.empty()) {
    if (!found.empty())
      throw Error(fmt::format("{} has checkpoints of a run that did not end: {}, or delete them",
                              folder_.string(), kResumeHint));
    return;
  }
  if (options.resume != "auto") {
    load(options.resume);
    return;
  }
  for (const fs::path& path : found) {
    // A run that was killed while it wrote has left only whole files; a disk may do worse.
    try {
      load(path);
      return;
    } catch (const Error& error) {
      if (resumed_) throw;
      warn(fmt::format("{}: trying the one before", error.what()));
    }
  }
  if (!found.empty())
    throw Error(fmt::format("none of the {} checkpoints in {} can be read", found.size(),
                            folder_.string()));
}

void Checkpoints::load(const fs::path& path) {
  resumed_path_ = path.string();
  session_ = {};
  io::ModelFile file = io::load_model(path);
  session_.state = nn::training_state_of(file, resumed_path_);
  if (!file.sections.contains(kRunSection))
    throw Error(resumed_path_ + ": is a checkpoint, but none of rung train or qat");
  const auto was = read_section(file, kRunSection, resumed_path_, [&](const Json& json) {
    for (const Json& figures : json.at("epochs")) session_.epochs.push_back(figures_of(figures));
    if (json.contains("top1_before")) session_.top1_before = json.at("top1_before").get<double>();
    return json.at("configuration").get<Configuration>();
  });
  resumed_ = std::move(file);
  check_same(was, configuration_, resumed_path_);
  console_.line(fmt::format("going on from {}: epoch {}, batch {}", resumed_path_,
                            session_.state.data.epoch + 1, session_.state.data.batch));
}

std::optional<io::ModelFile> Checkpoints::take_resumed() { return std::exchange(resumed_, {}); }

void Checkpoints::write(const Session& session, std::int64_t step, const SaveModel& save) {
  if (step == written_) return;
  std::error_code error;
  fs::create_directory(folder_, error);
  if (error)
    throw Error(fmt::format("cannot create the folder {}: {}", folder_.string(), error.message()));
  io::ModelExtras extras;
  nn::add_training_state(extras, session.state);
  Json json = {{"configuration", configuration_}, {"epochs", Json::array()}};
  for (const EpochFigures& figures : session.epochs) json["epochs"].push_back(to_json(figures));
  if (session.top1_before) json["top1_before"] = *session.top1_before;
  extras.sections[kRunSection] = json.dump();
  try {
    save((folder_ / fmt::format("step-{:09}.rung", step)).string(), std::move(extras));
  } catch (...) {
    fs::remove(folder_, error);  // only if it is empty
    throw;
  }
  written_ = step;
  const std::vector<fs::path> all = checkpoints_in(folder_);
  for (std::size_t i = static_cast<std::size_t>(options_.keep); i < all.size(); ++i)
    fs::remove(all[i], error);
}

void Checkpoints::after_step(const std::function<const Session&()>& session, std::int64_t step,
                             const SaveModel& save) {
  const std::string signal = interrupted_by();
  if (timer_.is_due(step) || !signal.empty()) write(session(), step, save);
  if (!signal.empty())
    throw Interrupted(fmt::format("stopped by {} after step {}: {}", signal, step, kResumeHint));
}

void Checkpoints::after_epoch(const Session& session, std::int64_t step, const SaveModel& save) {
  const bool is_best = best_epoch(session.epochs) == session.epochs.size() - 1;
  if (options_.keep_best && is_best) save(best_.string(), {});
  written_ = -1;  // what was written before the validation does not have its figures
  if (options_.every == kEpoch) write(session, step, save);
  after_step([&]() -> const Session& { return session; }, step, save);
}

std::string Checkpoints::newest() const {
  const std::vector<fs::path> all = checkpoints_in(folder_);
  return all.empty() ? resumed_path_ : all.front().string();
}

void Checkpoints::finish() {
  std::error_code error;
  for (const fs::path& path : checkpoints_in(folder_)) fs::remove(path, error);
  fs::remove(folder_, error);  // only if nothing else is in it
}

}  // namespace rung::cli
