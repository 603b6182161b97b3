#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/graph/op.h"
#include "rung/ops/observers.h"
#include "rung/quant/quantizer.h"
#include "rung/quant/range_estimator.h"

namespace rung {

/// Where a quantizer stands.
enum class QuantizerPlace {
  parameter,  ///< between a parameter and its op; AIMET: param_quantizers
  value,      ///< behind a value, for all its readers; AIMET: output_quantizers
  edge,       ///< on one edge only; AIMET: input_quantizers
};
RUNG_API std::string_view to_string(QuantizerPlace place);

/// Simulates quantization of its first input. Inputs: x, then the quantizer's parameters (affine:
/// min, max; Role::encoding; [] per tensor, [C] per channel). Quantizer settings, enabled and
/// frozen are run-time state: changing them never rebuilds a plan. While an executor runs with
/// Observers that know it, y = x. A compiled kernel keeps a pointer to its op, which must outlive
/// it. ONNX: QuantizeLinear and DequantizeLinear.
class RUNG_API QuantizeDequantize final : public Op {
 public:
  /// Makes an 8-bit asymmetric per-tensor affine quantizer with a min_max estimator.
  QuantizeDequantize();
  QuantizeDequantize(std::unique_ptr<Quantizer> quantizer,
                     std::unique_ptr<RangeEstimator> estimator);
  QuantizeDequantize(const QuantizeDequantize& other);  ///< deep
  ~QuantizeDequantize() override;

  Quantizer& quantizer() { return *quantizer_; }
  const Quantizer& quantizer() const { return *quantizer_; }
  void set_quantizer(std::unique_ptr<Quantizer> quantizer);
  /// Returns the prototype that every channel's estimator is cloned from.
  const RangeEstimator& estimator() const { return *prototype_; }
  void set_estimator(std::unique_ptr<RangeEstimator> estimator);

  /// Where the node stands. Whoever puts it into a graph says so; its name says nothing.
  QuantizerPlace place() const { return place_; }
  void set_place(QuantizerPlace place) { place_ = place; }
  bool enabled() const { return enabled_; }
  /// True if it rounds: it is enabled and has less than 32 bits.
  bool works() const { return enabled_ && !quantizer_->pass_through(); }
  void set_enabled(bool enabled) { set(enabled_, enabled); }  ///< disabled: y = x, nothing observed
  bool frozen() const { return frozen_; }
  void set_frozen(bool frozen) { frozen_ = frozen; }  ///< calibration leaves the ranges alone
  /// True if the range of a parameter is estimated anew from its values in every forward pass in
  /// Mode::train, and in Mode::eval whenever they have changed, so that what is evaluated and
  /// exported is never a step old (unless frozen). AIMET version 1's quantization-aware training.
  bool recomputed() const { return recomputed_; }
  void set_recomputed(bool recomputed) { set(recomputed_, recomputed); }
  /// True once ranges were set, or if there are none to set; a forward that quantizes before throws
  /// Error.
  bool initialized() const { return initialized_ || quantizer_->parameters().empty(); }
  void set_initialized(bool initialized) { set(initialized_, initialized); }

  /// Returns legal ranges from what was seen, one per channel, resolving unsigned_symmetric; throws
  /// Error if nothing was.
  std::vector<Range> estimate(const Observation& seen);
  /// Writes the ranges that follow from what was seen into the parameters (in the order of the
  /// quantizer's parameters()), unless frozen. Throws Error if nothing was seen.
  void calibrate(const Observation& seen, std::span<Parameter* const> parameters);
  /// Estimates the ranges from x alone and writes them into the parameters.
  void recompute(std::span<const float> x, const Shape& shape,
                 std::span<Parameter* const> parameters) const;
  /// Writes ranges of your own (made legal first), one per channel or one for all.
  void set_ranges(std::span<const Range> ranges, std::span<Parameter* const> parameters);
  /// Returns the encoding that these parameters mean; throws Error before initialized().
  Encoding encoding(std::span<Parameter* const> parameters) const;

  /// Throws Error if the quantizer or the estimator is of a kind that files cannot bring back.
  void check_savable() const;

  std::string_view type() const override { return "QuantizeDequantize"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::inputs(0b1); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override;
  void constrain(std::span<Parameter* const> parameters) const override;
  bool has_constraint() const override { return true; }
  std::int64_t code_channels() const override;
  std::optional<Tail> tail() const override;
  bool fits_byte() const override;
  std::optional<std::uint64_t> state_version() const override;

 private:
  void set(bool& setting, bool value) {
    if (setting != value) ++changes_;
    setting = value;
  }
  std::unique_ptr<Quantizer> quantizer_;
  std::unique_ptr<RangeEstimator> prototype_;
  QuantizerPlace place_ = QuantizerPlace::value;
  bool enabled_ = true, frozen_ = false, initialized_ = false, recomputed_ = false;
  std::uint64_t changes_ = 0;  // of all but the quantizer's own settings
};

/// Returns the parameters of a QuantizeDequantize node, in order: its inputs but the first. Throws
/// Error if the node is another one.
RUNG_API std::vector<Parameter*> quantizer_parameters(const Node& node);

/// Adds the parameters that a quantizer needs to the graph, named <node_name>.<parameter>, with
/// Role::encoding: the `extra` inputs for Graph::insert_after and insert_on_edge.
RUNG_API std::vector<Value*> add_quantizer_parameters(Graph& graph, const Quantizer& quantizer,
                                                      std::string_view node_name);

namespace nn {

/// Adds a quantizer of your choice behind x; ranges must be set before the first forward.
RUNG_API Var quantize_dequantize(Var x, std::unique_ptr<Quantizer> quantizer,
                                 std::unique_ptr<RangeEstimator> estimator, std::string_view name);

}  // namespace nn
}  // namespace rung
