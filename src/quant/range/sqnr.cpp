#include "quant/range/sqnr.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/range/histogram_estimator.h"

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
  static constexpr std::size_t kLanes = 8;
  std::vector<float> centre, count;
};

Bins filled_bins(const Histogram& histogram) {
  Bins bins;
  for (std::int64_t i = 0; i < Histogram::kBins; ++i) {
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

/// Rounds half to even what lies below 2^22, in any instruction set: no bits are left for
/// fractions.
float round_small(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  return (x + kRound) - kRound;
}
float round_any(float x) { return std::nearbyint(x); }

/// Returns the squared error of quantizing the binned numbers with this candidate.
template <float (*round)(float)>
double noise(const Bins& bins, Candidate candidate, float steps) {
  const auto [scale, offset] = candidate;
  const float beyond = steps + 1.0f;  // one code beyond the end is enough to know what is clipped
  double lanes[Bins::kLanes] = {};
  for (std::size_t i = 0; i < bins.centre.size(); i += Bins::kLanes) {
    const float* centre = bins.centre.data() + i;
    const float* count = bins.count.data() + i;
    float errors[Bins::kLanes];
    for (std::size_t j = 0; j < Bins::kLanes; ++j) {
      float q = centre[j] / scale - offset;
      q = -1.0f > q ? -1.0f : q;
      q = round(beyond < q ? beyond : q);
      float inside = 0.0f > q ? 0.0f : q;
      inside = steps < inside ? steps : inside;
      const float weight = inside == q ? 1.0f : kGamma;
      const float error = (inside + offset) * scale - centre[j];
      errors[j] = error * error * count[j] * weight;
    }
    for (std::size_t j = 0; j < Bins::kLanes; ++j) lanes[j] += double{errors[j]};
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

using Noise = double (*)(const Bins&, Candidate, float);
Noise noise_of(float steps) { return steps < 4194303.0f ? noise<round_small> : noise<round_any>; }

std::vector<Candidate> asymmetric_candidates(float low, float high, float steps) {
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
      const float bottom = std::max(scale * offset, low_on_grid);
      const float top = std::min(scale * (offset + steps), high_on_grid);
      const float fitted = std::max((top - bottom) / steps, kMinimumScale);
      candidates.push_back({fitted, std::nearbyint(bottom / fitted)});
    }
  }
  return candidates;
}

std::vector<Candidate> symmetric_candidates(float full, float offset) {
  std::vector<Candidate> candidates;
  for (int k = 1; k <= kSymmetricSteps; ++k) {
    const float scale = full * static_cast<float>(k) / static_cast<float>(kSymmetricSteps - 1);
    candidates.push_back({std::max(scale, kMinimumScale), offset});
  }
  return candidates;
}

/// Tries ranges from narrow to wide: clipping a few numbers hard against rounding all more
/// coarsely.
class Sqnr final : public HistogramEstimator<Sqnr> {
 public:
  std::string name() const override { return "sqnr"; }

  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    const Range seen = histogram().range();
    const auto steps = static_cast<float>(grid.steps());
    const float low = std::min(seen.min, 0.0f);
    const float high = std::max({seen.max, 0.0f, low + kMinimumScale * steps});

    std::vector<Candidate> candidates;
    if (symmetry == Symmetry::asymmetric)
      candidates = asymmetric_candidates(low, high, steps);
    else if (symmetry == Symmetry::unsigned_symmetric)
      candidates = symmetric_candidates(high / steps, 0.0f);
    else
      candidates =
          symmetric_candidates(2.0f * std::max(high, -low) / steps, static_cast<float>(grid.qmin));

    const Bins bins = filled_bins(histogram());
    const auto cost_of = noise_of(steps);
    Candidate best = candidates.front();
    double least = std::numeric_limits<double>::infinity();
    for (const Candidate& candidate : candidates) {
      const double cost = cost_of(bins, candidate, steps);
      if (cost < least) {  // the first of equals stays
        least = cost;
        best = candidate;
      }
    }
    const float bottom = best.offset * best.scale;
    return {bottom, bottom + steps * best.scale};
  }
};

}  // namespace

double sqnr_cost(const Histogram& histogram, float scale, float offset, const Grid& grid) {
  const auto steps = static_cast<float>(grid.steps());
  return noise_of(steps)(filled_bins(histogram), {scale, offset}, steps);
}

std::unique_ptr<RangeEstimator> make_sqnr() { return std::make_unique<Sqnr>(); }

}  // namespace rung
