#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "rung/quant/encoding.h"

namespace rung {

/// Counts numbers in equal bins over the range seen so far. A batch outside it widens the range:
/// old counts are split over the new bins as if evenly spread within their old one. AIMET:
/// _HistogramObserver (version 2).
class Histogram {
 public:
  static constexpr std::int64_t kBins = 2048;
  static constexpr std::int64_t kLimitedBins = 512;

  /// The 2048 bins of October 2024, which grow without end, with a constant first batch handled.
  Histogram() = default;
  /// The bins of version 2.42's tf_enhanced: 512, which stay within the range of the first batch
  /// and 1.5 times its width at either end. What is beyond counts in the last bin there.
  static Histogram limited();

  /// Widens the range to include `seen`; accumulate() may follow for numbers in it.
  void begin_batch(Range seen);
  void accumulate(std::span<const float> chunk);
  /// Adds what another histogram of the same kind holds; the limit is that of the first.
  void merge(const Histogram& other);

  /// True before the first batch.
  bool empty() const { return counts_.empty(); }
  Range range() const { return range_; }
  double total() const;
  std::int64_t bins() const { return is_limited_ ? kLimitedBins : kBins; }
  const std::vector<double>& counts() const { return counts_; }
  /// Returns the left edge of a bin; of bin bins(), the right end.
  float edge(std::int64_t bin) const;
  float centre(std::int64_t bin) const;

  std::vector<double> state() const;
  void load_state(std::span<const double> state);  ///< throws Error if it is not a state()

 private:
  Range bounds() const;
  Range within_limit(Range seen) const;
  void widen(Range to);
  std::int64_t bin_of(float x) const;
  float count() const { return static_cast<float>(bins()); }

  bool is_limited_ = false;
  Range range_;
  Range limit_;         // of a limited one
  Range counted_over_;  // what accumulate() cuts into bins
  std::vector<double> counts_;
};

}  // namespace rung
