#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rung/core/attributes.h"
#include "rung/core/export.h"
#include "rung/quant/encoding.h"

namespace rung {

/// Decides, from the numbers that a tensor took during calibration, which range is worth codes.
/// Sees one channel (or a whole tensor); a per-channel quantizer owns one per channel. Streaming:
/// no number is stored. Derive from it for an estimator of your own; files bring it back, and a
/// QuantScheme can choose it, after register_range_estimator() (rung/quant/registry.h). AIMET:
/// encoding analyzer.
class RUNG_API RangeEstimator {
 public:
  virtual ~RangeEstimator() = default;
  /// Returns the estimator's name: "min_max", "sqnr", "tf_enhanced", "percentile", or yours.
  virtual std::string name() const = 0;
  /// Lists its options, under their names in files. May throw Error for what a visitor wrote. The
  /// default has none.
  virtual void visit(AttributeVisitor&) {}
  /// Announces a batch of `count` numbers that lie in `seen`, all finite; count > 0.
  virtual void begin_batch(Range seen, std::int64_t count) = 0;
  /// Takes a part of the batch; parts come in any sizes and any order, never with padding.
  virtual void accumulate(std::span<const float> chunk) = 0;
  virtual void end_batch() = 0;
  /// Adds what another estimator of the same type has seen (threads, ranks) in a fixed order.
  virtual void merge(const RangeEstimator& other) = 0;
  /// Returns the legal min and max to store; throws Error if nothing was observed.
  virtual Range estimate(const Grid& grid, Symmetry symmetry) const = 0;
  /// Returns the smallest and largest number seen, of tf_enhanced as far as its limits reach;
  /// throws Error if nothing was observed.
  virtual Range observed() const = 0;
  /// Returns how many numbers were seen.
  virtual std::int64_t count() const = 0;
  virtual void reset() = 0;
  /// Returns a copy with everything it has seen.
  virtual std::unique_ptr<RangeEstimator> clone() const = 0;
  /// False if begin_batch() alone tells it enough, so that nobody needs to call accumulate().
  virtual bool needs_data() const { return true; }
  /// Returns everything seen as numbers, and takes it back: for checkpoints.
  virtual std::vector<double> state() const = 0;
  virtual void load_state(std::span<const double> state) = 0;
};

/// Keeps the smallest and the largest number. AIMET: post_training_tf, min_max.
RUNG_API std::unique_ptr<RangeEstimator> make_min_max();
/// Keeps a histogram of 2048 bins that grows with what it sees, and searches the range with the
/// least squared error, counting what is clipped `gamma` = 3 times. AIMET: SqnrEncodingAnalyzer,
/// which was post_training_tf_enhanced in October 2024.
RUNG_API std::unique_ptr<RangeEstimator> make_sqnr();
/// The same search with 512 bins that stay within the range of the first batch and 1.5 times its
/// width at either end: numbers beyond count as if they lay there, so that a first batch which is
/// narrower than a quarter of the later ones clips those. AIMET 2.42: post_training_tf_enhanced
/// (TfEnhancedEncodingAnalyzer).
RUNG_API std::unique_ptr<RangeEstimator> make_tf_enhanced();
/// Keeps a histogram and cuts off (100 - percentile) percent of the numbers at either end;
/// throws Error unless 50 < percentile <= 100. AIMET: post_training_percentile.
RUNG_API std::unique_ptr<RangeEstimator> make_percentile(double percentile = 100.0);
/// Prints the name and what visit() lists, e.g. "sqnr" or "percentile {percentile=99.9}".
RUNG_API std::string to_string(const RangeEstimator& estimator);

/// Shows one batch to one estimator: min and max first, then the data. Throws Error counting the
/// elements that are NaN or infinite (the caller adds whose they are); nothing is seen then.
RUNG_API void observe(RangeEstimator& estimator, std::span<const float> batch);

}  // namespace rung
