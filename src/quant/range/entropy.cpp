#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "quant/range/histogram_estimator.h"
#include "rung/core/parallel.h"

// Which range loses least information? The histogram of what it keeps, with what it clips counted
// at its ends, is a distribution P. After quantization all bins of one code look alike: Q spreads
// the count of each code evenly over those of its bins that hold anything. The divergence of Q from
// P, the sum of P log(P / Q), is small where clipping moves little and codes are fine.
// Migacz, "8-bit inference with TensorRT" (GTC 2017).

namespace rung {
namespace {

constexpr int kThresholds = 256;  // magnitudes at which to clip, from the largest one seen down

/// The bins that hold something, in order.
struct Bin {
  double centre, count, log_count;
};

std::vector<Bin> smoothed_bins(const Histogram& histogram) {
  std::vector<double> counts = histogram.counts();
  // Zero is exact whatever the range; behind a Relu it would decide everything. It counts as much
  // as what is beside it.
  const auto last = static_cast<std::ptrdiff_t>(counts.size()) - 1;
  for (std::ptrdiff_t i = 0; i <= last; ++i) {
    const bool has_zero = histogram.edge(i) <= 0.0f && 0.0f < histogram.edge(i + 1);
    if (!has_zero) continue;
    const double left = i > 0 ? counts[static_cast<std::size_t>(i - 1)] : 0.0;
    const double right = i < last ? counts[static_cast<std::size_t>(i + 1)] : 0.0;
    double& zero = counts[static_cast<std::size_t>(i)];
    zero = std::min(zero, std::max(left, right));
  }
  std::vector<Bin> bins;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 0.0)
      bins.push_back(
          {double{histogram.centre(static_cast<std::int64_t>(i))}, counts[i], std::log(counts[i])});
  return bins;
}

/// The real numbers that have codes: whole multiples of a scale, from `lowest` to `highest`.
struct Cells {
  double scale, lowest, highest;
  double of(double x) const { return std::nearbyint(x / scale); }
};

Cells cells_of(Range legal, const Grid& grid, Symmetry symmetry) {
  const auto steps = static_cast<double>(grid.steps());
  const double scale = (double{legal.max} - double{legal.min}) / steps;
  const double lowest = symmetry == Symmetry::asymmetric ? std::nearbyint(legal.min / scale)
                                                         : static_cast<double>(grid.qmin);
  return {scale, lowest, lowest + steps};
}

/// Returns the divergence of what these cells make of the bins, infinity if they keep none.
double divergence(const std::vector<Bin>& bins, const Cells& cells) {
  const auto is_below = [&](const Bin& bin) { return cells.of(bin.centre) < cells.lowest; };
  const auto is_kept = [&](const Bin& bin) { return cells.of(bin.centre) <= cells.highest; };
  const auto first = std::ranges::partition_point(bins, is_below);
  const auto end = std::partition_point(first, bins.end(), is_kept);
  if (first == end) return std::numeric_limits<double>::infinity();
  double below = 0.0, kept = 0.0, above = 0.0;
  for (auto bin = bins.begin(); bin != first; ++bin) below += bin->count;
  for (auto bin = first; bin != end; ++bin) kept += bin->count;
  for (auto bin = end; bin != bins.end(); ++bin) above += bin->count;
  const double total = below + kept + above;

  // With p counts in a bin of P and q in Q: sum of p / total * (log p - log q) + log(kept / total).
  double sum = 0.0;
  for (auto bin = first; bin != end;) {
    const double cell = cells.of(bin->centre);
    double count = 0.0, filled = 0.0, p_in_cell = 0.0;
    for (; bin != end && cells.of(bin->centre) == cell; ++bin) {
      double p = bin->count, log_p = bin->log_count;
      if (bin == first || bin + 1 == end) {
        p += (bin == first ? below : 0.0) + (bin + 1 == end ? above : 0.0);
        log_p = std::log(p);
      }
      sum += p * log_p;
      p_in_cell += p;
      count += bin->count;
      filled += 1.0;
    }
    sum -= p_in_cell * std::log(count / filled);
  }
  return std::max(0.0, sum / total + std::log(kept / total));  // less is rounding
}

/// Clips where the least information is lost.
class Entropy final : public HistogramEstimator<Entropy> {
 public:
  std::string name() const override { return "entropy"; }

  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    const Range all = histogram().range();
    const Range seen{std::min(all.min, 0.0f), std::max(all.max, 0.0f)};
    const std::vector<Bin> bins = smoothed_bins(histogram());
    const double largest = std::max(std::abs(double{seen.min}), std::abs(double{seen.max}));
    const double bin_width = (double{all.max} - double{all.min}) / Histogram::kBins;
    // Finer codes than bins would look free of loss.
    const double narrowest = bin_width * static_cast<double>(grid.steps() + 1);
    std::vector<Range> ranges{legal_range(all, grid, symmetry)};
    for (int k = kThresholds - 1; k > 0; --k) {
      const auto at = static_cast<float>(largest * k / kThresholds);
      const Range clipped{std::max(seen.min, -at), std::min(seen.max, at)};
      if (double{clipped.max} - double{clipped.min} < narrowest) break;
      ranges.push_back(legal_range(clipped, grid, symmetry));
    }
    std::vector<double> costs(ranges.size());
    parallel_for(std::ssize(ranges), 16, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        costs[i] = divergence(bins, cells_of(ranges[i], grid, symmetry));
    });
    // The first of equals, which is the widest.
    return ranges[static_cast<std::size_t>(std::ranges::min_element(costs) - costs.begin())];
  }
};

}  // namespace

std::unique_ptr<RangeEstimator> make_entropy() { return std::make_unique<Entropy>(); }

}  // namespace rung
