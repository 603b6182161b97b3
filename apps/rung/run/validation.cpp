#include "run/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rung/core/error.h"

namespace rung::cli {

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
