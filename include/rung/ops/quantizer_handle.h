#pragma once

#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quant/encoding.h"

namespace rung {

/// Looks at and changes one quantizer of a graph. A light handle, valid as long as the node; every
/// change takes effect at the next forward. Quantizers that share their parameters (the edges of
/// one value; see propagate_output_encodings) are one: what one handle changes changes them all,
/// only enabled() is each place's own.
class RUNG_API QuantizerHandle {
 public:
  /// Throws Error if the node is no QuantizeDequantize, or its min and max are no parameters.
  explicit QuantizerHandle(Node& node);

  /// Returns the node's name without ".qdq": a parameter ("layer1.0.conv1.weight"), a value
  /// ("layer1.0.relu1") or an edge ("conv1.input0").
  std::string name() const;
  /// Returns where it stands; what reads a parameter is one of a parameter.
  QuantizerPlace place() const;
  /// Returns the tensor that is quantized: the node's first input. Of a weight that is folded in
  /// simulation it is the folded one.
  const Value& source() const { return *node_->inputs()[0]; }
  Node& node() const { return *node_; }
  QuantizeDequantize& op() const { return *node_->as<QuantizeDequantize>(); }
  /// Returns min and max (affine), Role::encoding.
  std::vector<Parameter*> parameters() const { return quantizer_parameters(*node_); }

  int bitwidth() const { return op().quantizer().bitwidth(); }
  Symmetry symmetry() const { return op().quantizer().symmetry(); }
  /// Changes the grid and keeps the range that it covers. Throws Error, with nothing changed,
  /// outside 2..32 or if the quantizer is frozen.
  void set_bitwidth(int bitwidth);
  void set_symmetric(bool symmetric) {
    set_symmetry(symmetric ? Symmetry::symmetric : Symmetry::asymmetric);
  }
  void set_symmetry(Symmetry symmetry);

  /// True once a range was calibrated or set; a forward through an enabled quantizer needs one.
  bool initialized() const { return op().initialized(); }
  /// Sets the range of every channel (made legal: contains zero); throws Error, with nothing
  /// changed, for NaN, min > max or a frozen quantizer.
  void set_range(Range range) { set_ranges({&range, 1}); }
  /// Sets one range per channel, or one for all.
  void set_ranges(std::span<const Range> ranges);
  /// Forgets the range, as before the first calibration; throws Error if frozen. AIMET:
  /// reset_encoding_stats.
  void reset_encoding_stats();
  /// Sets how calibration finds the range, e.g. *make_percentile(99.9). AIMET: quant_scheme of one
  /// quantizer, encoding_analyzer.
  void set_range_estimator(const RangeEstimator& estimator);
  /// Returns the stored ranges, one per channel; throws Error before initialized().
  std::vector<Range> ranges() const;
  /// Returns what min and max mean: scale and offset; throws Error before initialized().
  Encoding encoding() const;
  /// Returns x as the quantizer makes it, whether it is enabled or not; throws Error before
  /// initialized().
  Tensor quantize_dequantize(const ConstTensor& x) const;

  bool enabled() const { return op().enabled(); }
  /// True if it rounds: it is enabled and has less than 32 bits.
  bool works() const { return op().works(); }
  void enable() { op().set_enabled(true); }
  void disable() { op().set_enabled(false); }  ///< everything passes unchanged
  /// Disables the quantizer until the returned object dies, then restores what was.
  class DisabledScope;
  [[nodiscard]] DisabledScope disabled_scope();

  bool frozen() const { return op().frozen(); }
  /// Keeps the range as it is: calibration, training and setters leave it alone. Throws Error
  /// before initialized(). AIMET: freeze_encoding, allow_overwrite(False).
  void freeze();
  void unfreeze();
  /// True if min and max are trained.
  bool learned() const;
  void set_learned(bool learned);

 private:
  void require_unfrozen(std::string_view what) const;
  template <typename Change>
  void change_quantizer(const Change& change);

  Node* node_;
};

/// Keeps a quantizer disabled while it lives.
class RUNG_API QuantizerHandle::DisabledScope {
 public:
  explicit DisabledScope(QuantizeDequantize& op) : op_(op), was_enabled_(op.enabled()) {
    op_.set_enabled(false);
  }
  ~DisabledScope() { op_.set_enabled(was_enabled_); }
  DisabledScope(const DisabledScope&) = delete;
  DisabledScope& operator=(const DisabledScope&) = delete;

 private:
  QuantizeDequantize& op_;
  bool was_enabled_;
};

/// Prints one line: name, bitwidth, symmetry, granularity, estimator, state and scale.
RUNG_API std::ostream& operator<<(std::ostream& out, const QuantizerHandle& quantizer);

/// Returns every quantizer of the graph in network order: for each op its inputs' and parameters',
/// then its outputs'.
RUNG_API std::vector<QuantizerHandle> find_quantizers(const Graph& graph);

}  // namespace rung
