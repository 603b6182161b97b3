#include "analysis/statistics.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>

#include "core/check.h"
#include "rung/core/parallel.h"

namespace rung::analysis {
namespace {

struct Part {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  double sum = 0.0, squares = 0.0;
  std::int64_t not_finite = 0;
};

Part part_of(std::span<const float> x) {
  Part part;
  for (const float each : x) {
    part.min = std::min(part.min, each);
    part.max = std::max(part.max, each);
    part.sum += each;
    part.squares += double{each} * each;
    part.not_finite += std::isfinite(each) ? 0 : 1;
  }
  return part;
}

}  // namespace

void StatisticsOf::add(const ConstTensor& x) {
  constexpr std::int64_t kGrain = 1 << 15;
  const std::int64_t size = x.numel();
  if (size == 0) return;
  std::vector<Part> parts(static_cast<std::size_t>((size + kGrain - 1) / kGrain));
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    parts[static_cast<std::size_t>(begin / kGrain)] = part_of(
        x.data().subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  });
  Part all;
  for (const Part& part : parts) {
    all.min = std::min(all.min, part.min);
    all.max = std::max(all.max, part.max);
    all.not_finite += part.not_finite;
    sum_ += part.sum;
    squares_ += part.squares;
  }
  require(all.not_finite == 0, "{} of {} elements are NaN or infinite", all.not_finite, size);
  count_ += size;
  histogram_.begin_batch({all.min, all.max});
  histogram_.accumulate(x.data());
  if (channel_axis_ < x.rank()) add_channels(x);
}

void StatisticsOf::add_channels(const ConstTensor& x) {
  const std::int64_t channels = x.size(channel_axis_);
  std::int64_t inner = 1;
  for (std::int64_t axis = channel_axis_ + 1; axis < x.rank(); ++axis) inner *= x.size(axis);
  const std::int64_t outer = x.numel() / (channels * inner);
  if (channel_min_.empty()) {
    channel_min_.assign(static_cast<std::size_t>(channels), std::numeric_limits<float>::infinity());
    channel_max_.assign(static_cast<std::size_t>(channels),
                        -std::numeric_limits<float>::infinity());
  }
  if (std::ssize(channel_min_) != channels) return;  // no channels, but an axis that varies
  const float* data = x.data().data();
  parallel_for(channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      float& min = channel_min_[static_cast<std::size_t>(c)];
      float& max = channel_max_[static_cast<std::size_t>(c)];
      for (std::int64_t n = 0; n < outer; ++n) {
        const float* run = data + (n * channels + c) * inner;
        for (std::int64_t i = 0; i < inner; ++i) {
          min = std::min(min, run[i]);
          max = std::max(max, run[i]);
        }
      }
    }
  });
}

double StatisticsOf::percentile(double percent) const {
  const std::vector<double>& counts = histogram_.counts();
  const double wanted = histogram_.total() * percent / 100.0;
  double below = 0.0;
  for (std::size_t bin = 0; bin < counts.size(); ++bin) {
    if (below + counts[bin] >= wanted && counts[bin] > 0.0) {
      const auto i = static_cast<std::int64_t>(bin);
      const double left = histogram_.edge(i), right = histogram_.edge(i + 1);
      return left + (right - left) * std::clamp((wanted - below) / counts[bin], 0.0, 1.0);
    }
    below += counts[bin];
  }
  return histogram_.range().max;
}

Statistics StatisticsOf::result() const {
  Statistics result{.count = count_};
  if (count_ == 0) return result;
  const auto count = static_cast<double>(count_);
  result.min = histogram_.range().min;
  result.max = histogram_.range().max;
  result.mean = sum_ / count;
  result.deviation = std::sqrt(std::max(squares_ / count - result.mean * result.mean, 0.0));
  for (const double percent : kPercentiles) result.percentiles.push_back(percentile(percent));
  constexpr std::size_t kTogether = 16;  // 128 bins: enough to draw
  result.distribution = {result.min, result.max, {}};
  for (std::size_t bin = 0; bin < histogram_.counts().size(); ++bin) {
    if (bin % kTogether == 0) result.distribution.counts.push_back(0.0);
    result.distribution.counts.back() += histogram_.counts()[bin];
  }
  result.channel_min = channel_min_;
  result.channel_max = channel_max_;
  std::vector<float> sizes;
  for (std::size_t c = 0; c < channel_min_.size(); ++c) {
    result.dead_channels += channel_min_[c] == channel_max_[c] ? 1 : 0;
    sizes.push_back(std::max(std::abs(channel_min_[c]), std::abs(channel_max_[c])));
  }
  if (!sizes.empty()) {
    std::ranges::sort(sizes);
    const double median = sizes[sizes.size() / 2];
    result.channel_spread = median > 0.0 ? sizes.back() / median : 0.0;
  }
  return result;
}

}  // namespace rung::analysis
