#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rung/quant/encoding.h"

namespace rung {

/// Counts numbers in 2048 equal bins over the range seen so far. A batch outside it widens the
/// range: old counts are split over the new bins as if evenly spread within their old one.
/// AIMET: _HistogramObserver (version 2), with a constant first batch handled.
class Histogram {
 public:
  static constexpr std::int64_t kBins = 2048;

  /// Widens the range to include `seen`; accumulate() may follow for numbers in it.
  void begin_batch(Range seen);
  void accumulate(std::span<const float> chunk);
  void merge(const Histogram& other);

  /// True before the first batch.
  bool empty() const { return counts_.empty(); }
  Range range() const { return range_; }
  double total() const;
  const std::vector<double>& counts() const { return counts_; }
  /// Returns the left edge of a bin; of bin kBins, the right end.
  float edge(std::int64_t bin) const;
  float centre(std::int64_t bin) const;

  std::vector<double> state() const;
  void load_state(std::span<const double> state);  ///< throws Error if it is not a state()

 private:
  void widen(Range to);
  std::int64_t bin_of(float x) const;

  Range range_;
  std::vector<double> counts_;
};

}  // namespace rung
