#include <algorithm>

#include "core/check.h"
#include "quant/estimator_state.h"
#include "rung/quant/range_estimator.h"

namespace rung {
namespace {

/// The whole observed range: nothing is clipped, whatever the steps cost.
class MinMax final : public RangeEstimator {
 public:
  std::string name() const override { return "min_max"; }
  void begin_batch(Range seen, std::int64_t count) override { add(seen, count); }
  void accumulate(std::span<const float>) override {}
  void end_batch() override {}
  bool needs_data() const override { return false; }

  void merge(const RangeEstimator& other) override {
    const auto& that = dynamic_cast<const MinMax&>(other);
    if (that.count_ > 0) add(that.seen_, that.count_);
  }
  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    return legal_min_max(observed(), grid, symmetry);
  }
  Range observed() const override {
    require(count_ > 0, "no data was observed");
    return seen_;
  }
  std::int64_t count() const override { return count_; }
  void reset() override { *this = {}; }
  std::unique_ptr<RangeEstimator> clone() const override { return std::make_unique<MinMax>(*this); }

  std::vector<double> state() const override {
    return {seen_.min, seen_.max, static_cast<double>(count_)};
  }
  void load_state(std::span<const double> state) override {
    require(state.size() == 3, "the state of min_max must have 3 numbers, got {}", state.size());
    const Range seen = seen_range(state[0], state[1]);
    count_ = seen_count(state[2]);
    seen_ = seen;
  }

 private:
  void add(Range seen, std::int64_t count) {
    const bool first = count_ == 0;
    seen_ = first ? seen : Range{std::min(seen_.min, seen.min), std::max(seen_.max, seen.max)};
    count_ += count;
  }

  Range seen_;
  std::int64_t count_ = 0;
};

}  // namespace

std::unique_ptr<RangeEstimator> make_min_max() { return std::make_unique<MinMax>(); }

}  // namespace rung
