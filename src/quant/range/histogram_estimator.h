#pragma once

#include <memory>
#include <utility>

#include "core/check.h"
#include "quant/estimator_state.h"
#include "quant/histogram.h"
#include "rung/quant/range_estimator.h"

namespace rung {

/// What sqnr, tf_enhanced, percentile and entropy share: they look at a histogram, each in its own
/// way.
template <typename Derived>
class HistogramEstimator : public RangeEstimator {
 public:
  explicit HistogramEstimator(Histogram empty = {})
      : empty_(std::move(empty)), histogram_(empty_) {}
  void begin_batch(Range seen, std::int64_t count) override {
    histogram_.begin_batch(seen);
    count_ += count;
  }
  void accumulate(std::span<const float> chunk) override { histogram_.accumulate(chunk); }
  void end_batch() override {}
  void merge(const RangeEstimator& other) override {
    const auto& that = dynamic_cast<const Derived&>(other);
    histogram_.merge(that.histogram_);
    count_ += that.count_;
  }
  Range observed() const override { return histogram().range(); }
  std::int64_t count() const override { return count_; }
  void reset() override {
    histogram_ = empty_;
    count_ = 0;
  }
  std::unique_ptr<RangeEstimator> clone() const override {
    return std::make_unique<Derived>(static_cast<const Derived&>(*this));
  }
  std::vector<double> state() const override {
    std::vector<double> state = histogram_.state();
    state.push_back(static_cast<double>(count_));
    return state;
  }
  void load_state(std::span<const double> state) override {
    require(!state.empty(), "the state of {} must not be empty", name());
    const std::int64_t count = seen_count(state.back());
    histogram_.load_state(state.first(state.size() - 1));
    count_ = count;
  }

 protected:
  /// Returns the histogram; throws Error if nothing was observed.
  const Histogram& histogram() const {
    require(!histogram_.empty(), "no data was observed");
    return histogram_;
  }

 private:
  Histogram empty_, histogram_;
  std::int64_t count_ = 0;
};

}  // namespace rung
