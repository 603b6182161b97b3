#include "run/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rung/core/error.h"

namespace rung::cli {

void add_validation_options(Command& command, ValidationOptions& options) {
  command.group("Validation");
  command.option("--val-split X", options.split,
                 "hold this share of the training images out, to see after each epoch how good the "
                 "model is; default: 0.1 with --keep-best or --patience, else none",
                 between(0, 1));
  command.option("--val-data DIR", options.dir,
                 "use the images in this folder for that; default: those of the folder val beside "
                 "train and test, if there are all three");
  command.option("--patience N", options.patience,
                 "stop after N epochs in which that accuracy did not rise, and keep the best "
                 "model, as OUT.best",
                 between(1, 1e6));
}

HeldOut hold_out(const nn::Dataset& dataset, double share, Rng rng) {
  const std::int64_t size = dataset.size();
  if (size < 2) throw Error("--val-split: there are fewer than two training images");
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  rng.shuffle(order);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < size; ++i) labels.push_back(dataset.label(i));
  const auto label_of = [&](std::int64_t i) { return labels[static_cast<std::size_t>(i)]; };
  std::ranges::stable_sort(order, {}, label_of);
  // Every so many of what is now sorted by class.
  const auto count =
      std::clamp<std::int64_t>(std::llround(share * static_cast<double>(size)), 1, size - 1);
  HeldOut parts;
  for (std::int64_t i = 0, taken = 0; i < size; ++i) {
    const bool held_out = taken < count && i >= (2 * taken + 1) * size / (2 * count);
    taken += held_out ? 1 : 0;
    (held_out ? parts.validation : parts.training).push_back(order[static_cast<std::size_t>(i)]);
  }
  std::ranges::sort(parts.training);
  std::ranges::sort(parts.validation);
  return parts;
}

}  // namespace rung::cli
