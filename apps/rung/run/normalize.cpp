#include "run/normalize.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "rung/core/error.h"

namespace rung::cli {
namespace {

constexpr const char* kOptions = "--mean, --std and --no-normalize";

/// Returns a number per channel, of one for all or one for each; `before` if none is given.
std::vector<float> per_channel(const char* name, const std::vector<double>& numbers,
                               const std::vector<float>& before) {
  const std::size_t channels = before.size();
  if (numbers.empty()) return before;
  if (numbers.size() == 1) return std::vector<float>(channels, static_cast<float>(numbers[0]));
  if (numbers.size() != channels)
    throw Error(fmt::format("{} has {} numbers, the images have {} channel{}: give one, or {}",
                            name, numbers.size(), channels, channels == 1 ? "" : "s", channels));
  return {numbers.begin(), numbers.end()};
}

bool changes_nothing(const Task& task) {
  const auto all = [](const std::vector<float>& values, float x) {
    return std::ranges::all_of(values, [x](float value) { return value == x; });
  };
  return all(task.mean, 0.0f) && all(task.std, 1.0f);
}

/// Returns where mean and std, or that there are none, come from.
std::string origin(const Task& task) {
  switch (task.normalization) {
    case Normalization::imagenet:
      return "ImageNet's";
    case Normalization::images:
      return fmt::format("those of {}'s training images",
                         task.statistics_of.empty() ? task.dataset : task.statistics_of);
    case Normalization::floats:
      return "arrays of floats are taken as they are";
    case Normalization::given:
      return "given when it was made";
    case Normalization::none:
      return "so it was said when it was made";
    case Normalization::unknown:
      break;
  }
  return {};
}

std::string who_says_so(const Task& task, const NormalizeOptions& options,
                        const std::string& file) {
  if (options.none) return "as --no-normalize says";
  if (options.given()) {
    if (!options.mean.empty() && !options.std.empty()) return "as --mean and --std say";
    const std::string from = file.empty() ? "the usual one of " + task.dataset : file + "'s";
    return options.std.empty() ? "mean: as --mean says, std: " + from
                               : "std: as --std says, mean: " + from;
  }
  std::string text = origin(task);
  if (file.empty() || task.assumed) {
    if (task.assumed) text += fmt::format(", which is assumed: {} change it", kOptions);
    return text;
  }
  return text.empty() ? "as " + file + " says" : fmt::format("{}, says {}", text, file);
}

}  // namespace

void apply(const NormalizeOptions& options, Task& task) {
  if (!options.given()) return;
  if (options.none && !(options.mean.empty() && options.std.empty()))
    throw UsageError("--no-normalize excludes --mean and --std");
  if (options.none) {
    std::ranges::fill(task.mean, 0.0f);
    std::ranges::fill(task.std, 1.0f);
  }
  std::vector<float> mean = per_channel("--mean", options.mean, task.mean);
  std::vector<float> std = per_channel("--std", options.std, task.std);
  if (std::ranges::any_of(std, [](float x) { return !(x > 0); }))
    throw Error(fmt::format("--std must be larger than 0, is {}", fmt::join(std, ",")));
  const bool pixels = task.dataset != "npy";  // arrays may hold anything
  if (pixels && std::ranges::any_of(mean, [](float x) { return x > 1; })) {
    std::vector<float> means = mean, stds = std;
    for (float& x : means) x /= 255.0f;
    if (!options.std.empty())
      for (float& x : stds) x /= 255.0f;
    throw Error(
        fmt::format("--mean {} is for pixels from 0 to 255; here they are from 0 to 1: "
                    "give --mean {:.4g} --std {:.4g}",
                    fmt::join(mean, ","), fmt::join(means, ","), fmt::join(stds, ",")));
  }
  task.mean = std::move(mean);
  task.std = std::move(std);
  task.normalization = options.none ? Normalization::none : Normalization::given;
  task.assumed = false;
}

void set_channels(Task& task, std::int64_t channels) {
  if (channels != 1 || task.mean.size() != 3) return;
  for (std::vector<float>* each : {&task.mean, &task.std})
    *each = {std::accumulate(each->begin(), each->end(), 0.0f) / 3.0f};
}

std::string describe_preparation(const Task& task, const NormalizeOptions& options,
                                 const std::string& file) {
  std::string text = "images are ";
  if (task.resize > 0) {
    if (task.mean.size() == 1) text += "made grey, ";
    text +=
        fmt::format("resized to {}, cut to {}x{}, ", task.resize, task.image_size, task.image_size);
  }
  if (changes_nothing(task))
    text += "not normalized";
  else
    text += fmt::format("normalized with mean {:.4g} and std {:.4g}", fmt::join(task.mean, ","),
                        fmt::join(task.std, ","));
  const std::string who = who_says_so(task, options, file);
  return who.empty() ? text : fmt::format("{} ({})", text, who);
}

}  // namespace rung::cli
