#include "quant/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "kernels/histogram.h"
#include "quant/estimator_state.h"
#include "rung/core/parallel.h"

namespace rung {

namespace {

constexpr float kGrowth = 3.0f;  // of a limited range, in widths of the first batch's

}  // namespace

Histogram Histogram::limited() {
  Histogram made;
  made.is_limited_ = true;
  return made;
}

Range Histogram::bounds() const {
  const bool is_wide = !is_limited_ || range_.min < range_.max;
  return is_wide ? range_ : Range{range_.min - 0.5f, range_.max + 0.5f};
}

float Histogram::edge(std::int64_t bin) const {
  const Range all = bounds();
  const float width = (all.max - all.min) / count();
  return static_cast<float>(bin) * width + all.min;
}

float Histogram::centre(std::int64_t bin) const {
  if (!is_limited_) return (edge(bin + 1) + edge(bin)) / 2;
  // Not the same in float32: the width of the first bin is as exact as its edges are, and the
  // search sees all bins where that puts them.
  const float width = edge(1) - edge(0);
  return edge(0) + width / 2 + width * static_cast<float>(bin);
}

std::int64_t Histogram::bin_of(float x) const {
  // The order of operations of torch.histc; the last bin includes its right end. The comparison
  // also catches a range of zero width, where every number is in the last bin.
  const float position = (x - range_.min) * count() / (range_.max - range_.min);
  return position < count() ? static_cast<std::int64_t>(position) : bins() - 1;
}

/// Returns the range that a limited histogram takes when a batch has this one.
Range Histogram::within_limit(Range seen) const {
  return {std::min(std::max(seen.min, limit_.min), edge(0)),
          std::min(std::max(seen.max, edge(bins())), limit_.max)};
}

void Histogram::begin_batch(Range seen) {
  if (!empty()) {
    widen(is_limited_ ? within_limit(seen)
                      : Range{std::min(range_.min, seen.min), std::max(range_.max, seen.max)});
    counted_over_ = range_;
    return;
  }
  range_ = seen;
  counts_.assign(static_cast<std::size_t>(bins()), 0.0);
  counted_over_ = is_limited_ ? Range{edge(0), edge(bins())} : range_;
  if (!is_limited_) return;
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float reach = (counted_over_.max - counted_over_.min) * kGrowth / 2;
  limit_ = {std::max(counted_over_.min - reach, -kLargest),
            std::min(counted_over_.max + reach, kLargest)};
}

void Histogram::widen(Range to) {
  if (to == range_) return;
  const Range from = bounds();
  const float from_step = (from.max - from.min) / count();
  const float from_width = is_limited_ ? edge(1) - edge(0) : from_step;
  std::vector<double> old(counts_.size(), 0.0);
  old.swap(counts_);
  range_ = to;
  if (from.min == from.max) {  // AIMET of October 2024 divides by zero here
    counts_[static_cast<std::size_t>(bin_of(from.min))] =
        std::accumulate(old.begin(), old.end(), 0.0);
    return;
  }
  const float to_width = (to.max - to.min) / count();
  const auto bin_at = [&](float x) {
    const float position = (x - to.min) / to_width;
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(position), 0, bins() - 1);
  };
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (old[i] == 0.0) continue;
    // A new bin is at least as wide as an old one, so an old one touches at most two.
    const float start = from.min + static_cast<float>(i) * from_step;
    const std::int64_t first = bin_at(start);
    const float first_end = to.min + to_width * static_cast<float>(first + 1);
    const float share = (first_end - start) / from_width * static_cast<float>(old[i]);
    const double part = std::min<double>(std::nearbyint(share), old[i]);
    counts_[static_cast<std::size_t>(first)] += part;
    counts_[static_cast<std::size_t>(bin_at(start + to_width))] += old[i] - part;
  }
}

void Histogram::accumulate(std::span<const float> chunk) {
  constexpr std::int64_t kGrain = 1 << 17;  // numbers per table of counts
  const kernels::Bins cut{counted_over_.min, counted_over_.max - counted_over_.min, count()};
  const auto size = static_cast<std::int64_t>(chunk.size());
  std::vector<std::uint32_t> counts(
      static_cast<std::size_t>((size + kGrain - 1) / kGrain * bins()));
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::histogram_kernels().count(chunk.data() + begin, end - begin, cut,
                                       counts.data() + begin / kGrain * bins());
  });
  for (std::size_t i = 0; i < counts.size(); ++i) counts_[i % counts_.size()] += counts[i];
}

void Histogram::merge(const Histogram& other) {
  require(is_limited_ == other.is_limited_,
          "a histogram of {} bins cannot take what one of {} has seen", bins(), other.bins());
  if (other.empty()) return;
  if (empty()) {
    *this = other;
    return;
  }
  Histogram copy = other;
  const Range all = is_limited_ ? within_limit(other.range_)
                                : Range{std::min(range_.min, other.range_.min),
                                        std::max(range_.max, other.range_.max)};
  widen(all);
  copy.widen(all);
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += copy.counts_[i];
}

double Histogram::total() const { return std::accumulate(counts_.begin(), counts_.end(), 0.0); }

std::vector<double> Histogram::state() const {
  if (empty()) return {};
  std::vector<double> state{range_.min, range_.max};
  if (is_limited_) state.insert(state.end(), {limit_.min, limit_.max});
  state.insert(state.end(), counts_.begin(), counts_.end());
  return state;
}

void Histogram::load_state(std::span<const double> state) {
  const std::size_t ranges = is_limited_ ? 4 : 2, size = ranges + static_cast<std::size_t>(bins());
  require(state.empty() || state.size() == size,
          "the state of a histogram must have 0 or {} numbers, got {}", size, state.size());
  Histogram loaded;
  loaded.is_limited_ = is_limited_;
  if (!state.empty()) {
    loaded.range_ = seen_range(state[0], state[1]);
    if (is_limited_) {
      loaded.limit_ = seen_range(state[2], state[3]);
      require(loaded.limit_.min <= loaded.range_.min && loaded.range_.max <= loaded.limit_.max,
              "the state of a histogram has the limit {} .. {}, but the range {} .. {}", state[2],
              state[3], state[0], state[1]);
    }
    loaded.counts_.assign(state.begin() + static_cast<std::ptrdiff_t>(ranges), state.end());
    for (const double count : loaded.counts_)
      require(count >= 0.0 && count <= 0x1p53, "the state of a histogram has a bin that counts {}",
              count);
    require(loaded.total() > 0.0, "the state of a histogram has a range, but counts nothing in it");
  }
  *this = std::move(loaded);
}

}  // namespace rung
