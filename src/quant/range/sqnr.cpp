#include "quant/range/sqnr.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include "kernels/histogram.h"
#include "quant/range/histogram_estimator.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

constexpr float kGamma = 3.0f;  // what is clipped counts 3 times
constexpr int kAsymmetricSteps = 17, kSymmetricSteps = 101, kOffsets = 21;

/// A scale and an offset for the codes 0 .. N.
struct Candidate {
  float scale, offset;
};

/// The bins that hold something; padded with empty ones to whole groups of kLanes.
struct Bins {
  static constexpr std::size_t kLanes = 16;
  std::vector<float> centre, count;
};

Bins filled_bins(const Histogram& histogram) {
  Bins bins;
  for (std::int64_t i = 0; i < histogram.bins(); ++i) {
    if (histogram.counts()[i] == 0.0) continue;
    bins.centre.push_back(histogram.centre(i));
    bins.count.push_back(static_cast<float>(histogram.counts()[i]));
  }
  while (bins.centre.size() % Bins::kLanes != 0) {
    bins.centre.push_back(0.0f);
    bins.count.push_back(0.0f);
  }
  return bins;
}

/// Returns the squared error of quantizing the binned numbers with this candidate.
double noise(const Bins& bins, Candidate candidate, float steps) {
  return kernels::histogram_kernels().noise(bins.centre.data(), bins.count.data(),
                                            static_cast<std::int64_t>(bins.centre.size()),
                                            candidate.scale, candidate.offset, steps, kGamma);
}

std::vector<Candidate> asymmetric_candidates(float low, float high, const Grid& grid) {
  const auto steps = static_cast<float>(grid.steps());
  const float full = (high - low) / steps;
  const float zero = std::nearbyint(low / full);
  const float low_on_grid = full * zero, high_on_grid = low_on_grid + full * steps;
  std::vector<float> offsets;
  const auto spread = static_cast<int>(std::min(steps + 2.0f, static_cast<float>(kOffsets))) - 1;
  for (int j = 0; j < spread; ++j)
    offsets.push_back(
        static_cast<float>(std::nearbyint(-double{steps} + j * double{steps} / (spread - 1))));
  offsets.push_back(zero);

  std::vector<Candidate> candidates;
  for (int k = 1; k <= kAsymmetricSteps; ++k) {
    const float scale = full * static_cast<float>(k) / static_cast<float>(kAsymmetricSteps - 1);
    for (const float offset : offsets) {
      const float lowest = scale * offset;
      const float bottom = std::max(lowest, low_on_grid);
      const float top = std::min(lowest + scale * steps, high_on_grid);
      const float fitted = std::max((top - bottom) / steps, grid.minimum_scale());
      candidates.push_back({fitted, std::nearbyint(bottom / fitted)});
    }
  }
  return candidates;
}

std::vector<Candidate> symmetric_candidates(float full, float offset, float smallest) {
  std::vector<Candidate> candidates;
  for (int k = 1; k <= kSymmetricSteps; ++k) {
    const float scale = full * static_cast<float>(k) / static_cast<float>(kSymmetricSteps - 1);
    candidates.push_back({std::max(scale, smallest), offset});
  }
  return candidates;
}

/// Tries ranges from narrow to wide: clipping a few numbers hard against rounding all more
/// coarsely. Versions of AIMET differ in the histogram that they search with.
class Sqnr final : public HistogramEstimator<Sqnr> {
 public:
  Sqnr(std::string_view name, const Histogram& histogram)
      : HistogramEstimator(histogram), name_(name) {}
  std::string name() const override { return std::string(name_); }

  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    const Range seen = histogram().range();
    const auto steps = static_cast<float>(grid.steps());
    const float low = std::min(seen.min, 0.0f);
    const float smallest = grid.minimum_scale();
    const float high = std::max({seen.max, 0.0f, low + smallest * steps});

    std::vector<Candidate> candidates;
    if (symmetry == Symmetry::asymmetric)
      candidates = asymmetric_candidates(low, high, grid);
    else if (symmetry == Symmetry::unsigned_symmetric)
      candidates = symmetric_candidates(high / steps, 0.0f, smallest);
    else
      candidates = symmetric_candidates(2.0f * std::max(high, -low) / steps,
                                        static_cast<float>(grid.qmin), smallest);

    const Bins bins = filled_bins(histogram());
    std::vector<double> costs(candidates.size());
    parallel_for(std::ssize(candidates), 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        costs[static_cast<std::size_t>(i)] =
            noise(bins, candidates[static_cast<std::size_t>(i)], steps);
    });
    std::size_t best_index = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < costs.size(); ++i)
      if (costs[i] < least) {  // the first of equals stays
        least = costs[i];
        best_index = i;
      }
    const Candidate best = candidates[best_index];
    const float bottom = best.offset * best.scale;
    return {bottom, bottom + steps * best.scale};
  }

 private:
  std::string_view name_;
};

}  // namespace

double sqnr_cost(const Histogram& histogram, float scale, float offset, const Grid& grid) {
  const auto steps = static_cast<float>(grid.steps());
  return noise(filled_bins(histogram), {scale, offset}, steps);
}

std::unique_ptr<RangeEstimator> make_sqnr() { return std::make_unique<Sqnr>("sqnr", Histogram()); }

std::unique_ptr<RangeEstimator> make_tf_enhanced() {
  return std::make_unique<Sqnr>("tf_enhanced", Histogram::limited());
}

}  // namespace rung
