#include "rung/nn/training_state.h"

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/check.h"
#include "io/files/json.h"

namespace rung::nn {
namespace {

using io::Json;
using io::JsonPlace;

const std::string kSection = "training";
constexpr std::string_view kPrefix = "optimizer.";
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

// 64 random bits do not fit into the signed numbers of the reader.
std::string hex(std::uint64_t bits) { return fmt::format("{:016x}", bits); }

std::uint64_t bits_of(const JsonPlace& place) {
  const std::string& text = place.string(16);
  if (text.size() != 16 || text.find_first_not_of("0123456789abcdef") != std::string::npos)
    place.refuse("must be 16 hexadecimal digits");
  return std::stoull(text, nullptr, 16);
}

}  // namespace

TrainingState training_state(const Executor& executor, const DataLoader& loader,
                             const Optimizer& optimizer) {
  return {optimizer.state(), loader.state(), executor.step_count(), {}};
}

void load_training_state(const TrainingState& state, Executor& executor, DataLoader& loader,
                         Optimizer& optimizer) {
  const DataLoaderState before = loader.state();
  loader.load_state(state.data);
  try {
    optimizer.load_state(state.optimizer);
  } catch (...) {
    loader.load_state(before);
    throw;
  }
  executor.set_step_count(state.forward_count);
}

void add_training_state(io::ModelExtras& extras, const TrainingState& state) {
  Json scalars = Json::array();
  for (const auto& [name, value] : state.optimizer.scalars)
    scalars.push_back(Json::array({name, value}));
  Json epoch = {{"loss_sum", state.epoch.loss_sum},
                {"correct", state.epoch.correct},
                {"images", state.epoch.images}};
  if (state.epoch.correct_top5) epoch["correct_top5"] = *state.epoch.correct_top5;
  const Json json = {
      {"optimizer", {{"kind", state.optimizer.kind}, {"scalars", scalars}}},
      {"data",
       {{"seed", hex(state.data.seed)}, {"epoch", state.data.epoch}, {"batch", state.data.batch}}},
      {"forward_count", static_cast<std::int64_t>(state.forward_count)},
      {"epoch", epoch}};
  require(extras.sections.emplace(kSection, io::dump_json(json, kSection)).second,
          "the section {} is there already", kSection);
  for (const auto& [name, tensor] : state.optimizer.tensors)
    extras.tensors.emplace_back(std::string(kPrefix) + name, tensor);
}

bool has_training_state(const io::ModelFile& file) { return file.sections.contains(kSection); }

TrainingState training_state_of(const io::ModelFile& file, std::string_view path) {
  require(has_training_state(file), "{}: is a model, but no checkpoint of a training", path);
  const std::string source = fmt::format("{}: section {}", path, kSection);
  const Json json = io::parse_json(file.sections.at(kSection), source);
  const JsonPlace place(json, source);
  TrainingState state;
  state.optimizer.kind = place["optimizer"]["kind"].string();
  const JsonPlace scalars = place["optimizer"]["scalars"];
  scalars.array();
  for (std::size_t i = 0; i < scalars.size(); ++i)
    state.optimizer.scalars.emplace_back(scalars[i][std::size_t{0}].string(),
                                         scalars[i][std::size_t{1}].number());
  for (const auto& [name, tensor] : file.tensors)
    if (name.starts_with(kPrefix))
      state.optimizer.tensors.emplace_back(name.substr(kPrefix.size()), tensor);
  state.data.seed = bits_of(place["data"]["seed"]);
  state.data.epoch = place["data"]["epoch"].integer(0, kMost);
  state.data.batch = place["data"]["batch"].integer(0, kMost);
  state.forward_count = static_cast<std::uint64_t>(place["forward_count"].integer(0, kMost));
  const JsonPlace epoch = place["epoch"];
  std::optional<std::int64_t> correct_top5;
  if (epoch.has("correct_top5")) correct_top5 = epoch["correct_top5"].integer(0, kMost);
  state.epoch = Metrics::of(epoch["loss_sum"].number(), epoch["correct"].integer(0, kMost),
                            epoch["images"].integer(0, kMost), correct_top5);
  return state;
}

}  // namespace rung::nn
