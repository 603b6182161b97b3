#include <algorithm>

#include "quant/range/histogram_estimator.h"

namespace rung {
namespace {

/// Ignores the outermost numbers on both sides, so that a few outliers do not cost all the others
/// their precision.
class Percentile final : public HistogramEstimator<Percentile> {
 public:
  explicit Percentile(double percentile) : percentile_(checked(percentile)) {}
  std::string name() const override { return "percentile"; }
  void visit(AttributeVisitor& visitor) override {
    double percentile = percentile_;
    visitor("percentile", percentile);
    percentile_ = checked(percentile);
  }

  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    const Range all = histogram().range();
    if (percentile_ == 100.0 || all.min == all.max) return legal_range(all, grid, symmetry);
    const double high = percentile_ / 100.0;
    const Range kept{histogram().edge(bin_at(1.0 - high)), histogram().edge(bin_at(high))};
    return legal_range(kept, grid, symmetry);
  }

 private:
  static double checked(double percentile) {
    require(percentile > 50.0 && percentile <= 100.0,
            "the percentile must be above 50 and at most 100, got {}", percentile);
    return percentile;
  }
  /// Returns the bin in which the given fraction of all numbers is reached.
  std::int64_t bin_at(double fraction) const {
    const double wanted = histogram().total() * fraction;
    double below = 0.0;
    for (std::int64_t bin = 0; bin < Histogram::kBins; ++bin)
      if ((below += histogram().counts()[bin]) >= wanted) return bin;
    return Histogram::kBins - 1;
  }

  double percentile_;
};

}  // namespace

std::unique_ptr<RangeEstimator> make_percentile(double percentile) {
  return std::make_unique<Percentile>(percentile);
}

}  // namespace rung
