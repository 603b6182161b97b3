#include "quant/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "kernels/histogram.h"
#include "quant/estimator_state.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

constexpr auto kBinsFloat = static_cast<float>(Histogram::kBins);

}  // namespace

float Histogram::edge(std::int64_t bin) const {
  const float width = (range_.max - range_.min) / kBinsFloat;
  return static_cast<float>(bin) * width + range_.min;
}

float Histogram::centre(std::int64_t bin) const { return (edge(bin + 1) + edge(bin)) / 2; }

std::int64_t Histogram::bin_of(float x) const {
  // The order of operations of torch.histc; the last bin includes its right end. The comparison
  // also catches a range of zero width, where every number is in the last bin.
  const float position = (x - range_.min) * kBinsFloat / (range_.max - range_.min);
  return position < kBinsFloat ? static_cast<std::int64_t>(position) : kBins - 1;
}

void Histogram::begin_batch(Range seen) {
  if (empty()) {
    range_ = seen;
    counts_.assign(kBins, 0.0);
  } else {
    widen({std::min(range_.min, seen.min), std::max(range_.max, seen.max)});
  }
}

void Histogram::widen(Range to) {
  if (to == range_) return;
  const Range from = range_;
  std::vector<double> old(kBins, 0.0);
  old.swap(counts_);
  range_ = to;
  if (from.min == from.max) {  // AIMET divides by zero here
    counts_[bin_of(from.min)] = std::accumulate(old.begin(), old.end(), 0.0);
    return;
  }
  const float to_width = (to.max - to.min) / kBinsFloat;
  const float from_width = (from.max - from.min) / kBinsFloat;
  const auto bin_at = [&](float x) {
    const float position = (x - to.min) / to_width;
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(position), 0, kBins - 1);
  };
  for (std::int64_t i = 0; i < kBins; ++i) {
    if (old[i] == 0.0) continue;
    // A new bin is at least as wide as an old one, so an old one touches at most two.
    const float start = from.min + static_cast<float>(i) * from_width;
    const std::int64_t first = bin_at(start);
    const float first_end = to.min + to_width * static_cast<float>(first + 1);
    const float share = (first_end - start) / from_width * static_cast<float>(old[i]);
    const double part = std::min<double>(std::nearbyint(share), old[i]);
    counts_[first] += part;
    counts_[bin_at(start + to_width)] += old[i] - part;
  }
}

void Histogram::accumulate(std::span<const float> chunk) {
  constexpr std::int64_t kGrain = 1 << 17;  // numbers per table of counts
  const kernels::Bins bins{range_.min, range_.max - range_.min, kBinsFloat};
  const auto size = static_cast<std::int64_t>(chunk.size());
  std::vector<std::uint32_t> counts(static_cast<std::size_t>((size + kGrain - 1) / kGrain * kBins));
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::histogram_kernels().count(chunk.data() + begin, end - begin, bins,
                                       counts.data() + begin / kGrain * kBins);
  });
  for (std::size_t i = 0; i < counts.size(); ++i) counts_[i % kBins] += counts[i];
}

void Histogram::merge(const Histogram& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = other;
    return;
  }
  Histogram copy = other;
  const Range all{std::min(range_.min, other.range_.min), std::max(range_.max, other.range_.max)};
  widen(all);
  copy.widen(all);
  for (std::int64_t i = 0; i < kBins; ++i) counts_[i] += copy.counts_[i];
}

double Histogram::total() const { return std::accumulate(counts_.begin(), counts_.end(), 0.0); }

std::vector<double> Histogram::state() const {
  if (empty()) return {};
  std::vector<double> state{range_.min, range_.max};
  state.insert(state.end(), counts_.begin(), counts_.end());
  return state;
}

void Histogram::load_state(std::span<const double> state) {
  require(state.empty() || state.size() == kBins + 2,
          "the state of a histogram must have 0 or {} numbers, got {}", kBins + 2, state.size());
  Histogram loaded;
  if (!state.empty()) {
    loaded.range_ = seen_range(state[0], state[1]);
    loaded.counts_.assign(state.begin() + 2, state.end());
    for (const double count : loaded.counts_)
      require(count >= 0.0 && count <= 0x1p53, "the state of a histogram has a bin that counts {}",
              count);
    require(loaded.total() > 0.0, "the state of a histogram has a range, but counts nothing in it");
  }
  *this = std::move(loaded);
}

}  // namespace rung
