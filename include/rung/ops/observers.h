#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/graph/graph.h"
#include "rung/graph/kernel.h"
#include "rung/quant/encoding.h"
#include "rung/quant/range_estimator.h"

namespace rung {

class QuantizeDequantize;

/// What one quantizer has seen: a range estimator per channel, each a copy of
/// QuantizeDequantize::estimator().
class RUNG_API Observation {
 public:
  /// Begins with nothing seen.
  explicit Observation(const QuantizeDequantize& quantizer);
  /// Shows one batch, row-major in `shape`. Throws Error counting the elements that are NaN or
  /// infinite; nothing is seen then.
  void see(std::span<const float> x, const Shape& shape);
  /// The same with a tensor as a plan stores it; padding is not seen.
  void see(const View& x);
  /// Returns how many numbers were seen.
  std::int64_t count() const;
  /// Adds what another one has seen. Throws Error if it has other channels or estimators.
  void merge(const Observation& other);
  /// Throws Error if another one has other channels or estimators, so that merge() would.
  void check_like(const Observation& other) const;
  /// Returns one with the same estimators that has seen nothing.
  Observation fresh() const;
  /// Returns the estimators, one per channel: for saved states.
  std::span<const std::unique_ptr<RangeEstimator>> estimators() const { return estimators_; }

 private:
  explicit Observation(const Granularity& granularity) : granularity_(granularity) {}
  Granularity granularity_;
  std::vector<std::unique_ptr<RangeEstimator>> estimators_;
};

/// What a calibration sees. While it is handed to an executor (Executor::observe), the quantizers
/// that it knows pass on what they get, unchanged, and those that it observes show it to their
/// Observation, in that executor alone. Several of one calibration (threads, ranks) can be merged.
/// Holds references to the quantizers of its graph, which must outlive it.
class RUNG_API Observers {
 public:
  Observers() = default;
  Observers(Observers&&) noexcept = default;
  Observers& operator=(Observers&&) noexcept = default;
  Observers(const Observers&) = delete;
  Observers& operator=(const Observers&) = delete;

  /// Observes a QuantizeDequantize node from now on, under a name (empty: the node's) by which
  /// merge() and saved states know it. Throws Error for another node and a name that is taken.
  void observe(const Node& quantizer, std::string name = {});
  /// Observes a quantizer, too, that is the same as another in another place: both show what they
  /// get, in the order in which they run, to the Observation of the first. Throws Error if that one
  /// is not observed, or this one is already.
  void observe_with(const Node& quantizer, const Node& first);
  /// Lets a quantizer pass on what it gets, unseen: one whose range is known without data.
  void pass(const Node& quantizer);

  /// True if the quantizer passes on what it gets.
  bool contains(const Op& quantizer) const { return passing_.contains(&quantizer); }
  /// Returns what the quantizer has seen, or nullptr if it is not observed.
  Observation* find(const Op& quantizer) const;
  /// Returns what a node has seen; throws Error if it is not observed.
  Observation& at(const Node& quantizer) const;
  /// Returns what was seen, by name.
  const std::map<std::string, Observation>& all() const { return seen_; }

  /// Returns observers of the same quantizers that have seen nothing: for another executor.
  Observers fresh() const;
  /// Adds what others have seen of quantizers of the same names. Merge in a fixed order: histograms
  /// depend on it. Throws Error, with nothing changed, if the names are others.
  void merge(const Observers& other);

 private:
  std::map<std::string, Observation> seen_;
  std::map<const Op*, Observation*> passing_;  // nullptr: not observed
};

}  // namespace rung
