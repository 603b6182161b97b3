#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/quant/encoding.h"
#include "rung/quant/fake_quantize.h"

namespace rung {

/// A parameter that a quantizer has: the graph stores it as <quantizer's node>.<name>.
struct ParameterSpec {
  std::string name;  ///< "min", "max", "scale"
  Shape shape;       ///< [] per tensor, [C] per channel
  float initial = 0.0f;
};

/// The values of a quantizer's parameters, in the order of Quantizer::parameters().
using ParameterView = std::span<const std::span<const float>>;
/// The same to write to; an empty span is one that nobody wants.
using MutableParameterView = std::span<const std::span<float>>;

/// What Quantizer::forward gets: y to write completely, as large as x (row-major in shape).
struct QuantizeIo {
  std::span<const float> x;
  const Shape& shape;
  ParameterView parameters;
  std::span<float> y;
};

/// What Quantizer::backward gets: dx (empty if unwanted) and the parameters' gradients (each empty
/// if unwanted) to overwrite.
struct QuantizeGradIo {
  std::span<const float> x, dy;
  const Shape& shape;
  ParameterView parameters;
  std::span<float> dx;
  MutableParameterView dparameters;
};

/// The settings every quantizer has.
struct QuantizerOptions {
  int bitwidth = 8;  ///< 2..32; 32 lets everything pass
  Symmetry symmetry = Symmetry::asymmetric;
  std::optional<std::int64_t> axis = {};  ///< of the channels; none: per tensor
  std::int64_t channels = 1;              ///< extent of that axis
};

/// Turns parameters into an encoding: one per QuantizeDequantize node. A quantizer that only
/// decides scale and offset runs in the fused kernels; one that computes something else overrides
/// runs_fused(), forward() and backward(). Derive from it for a quantizer of your own.
class RUNG_API Quantizer {
 public:
  /// Throws Error for a bitwidth outside 2..32 or a negative axis.
  explicit Quantizer(QuantizerOptions options);
  virtual ~Quantizer() = default;
  /// Returns the quantizer's name in files: "affine", or yours.
  virtual std::string_view kind() const = 0;
  /// Lists the parameters; may be empty.
  virtual std::vector<ParameterSpec> parameters() const = 0;
  /// Returns what is exported and what the fused kernels read. Zero must be on the grid: -offset is
  /// one of its codes.
  virtual Encoding encoding(ParameterView parameters) const = 0;
  /// Sets the parameters to legal ranges that were estimated, one per channel.
  virtual void initialize(std::span<const Range> ranges, MutableParameterView parameters) const = 0;
  /// Returns the stored ranges behind the parameters, one per channel: what initialize() took.
  virtual std::vector<Range> ranges(ParameterView parameters) const;
  /// Makes the parameters legal after an optimizer step. The default does nothing.
  virtual void constrain(MutableParameterView parameters) const;
  /// Writes the parameters' gradients, given those of scale and offset.
  virtual void chain(const EncodingGradient& gradient, const Encoding& encoding,
                     ParameterView parameters, MutableParameterView dparameters) const = 0;
  virtual std::unique_ptr<Quantizer> clone() const = 0;

  /// False if forward() must run instead of the fused affine kernels.
  virtual bool runs_fused() const { return true; }
  /// Computes y. The default is quantize_dequantize() with encoding().
  virtual void forward(const QuantizeIo& io) const;
  /// Computes dx and the parameters' gradients. The default is the masked straight-through
  /// gradient and chain().
  virtual void backward(const QuantizeGradIo& io) const;

  // Settings; a change takes effect at the next forward, and needs new ranges to make sense.
  int bitwidth() const { return options_.bitwidth; }
  void set_bitwidth(int bitwidth);  ///< throws Error outside 2..32
  /// Returns the symmetry that was asked for.
  Symmetry symmetry() const { return options_.symmetry; }
  void set_symmetry(Symmetry symmetry);
  /// Returns the symmetry in use: unsigned_symmetric becomes symmetric after negative data.
  Symmetry resolved_symmetry() const;
  /// Tells the range of the calibration data, all channels together.
  void resolve(Range observed);
  bool saw_negative() const { return saw_negative_; }
  Grid grid() const { return make_grid(bitwidth(), resolved_symmetry()); }
  std::optional<std::int64_t> axis() const { return options_.axis; }
  std::int64_t channels() const { return options_.channels; }
  bool pass_through() const { return bitwidth() >= kPassThroughBitwidth; }
  /// Returns [] per tensor, [channels] per channel.
  Shape parameter_shape() const;

 private:
  QuantizerOptions options_;
  bool saw_negative_ = false;
};

/// The quantizer with the parameters min and max, fixed or learned. AIMET: QuantizeDequantize with
/// learnable min and max; "range learning", Esser et al. 2020 in spirit.
class RUNG_API AffineQuantizer final : public Quantizer {
 public:
  static constexpr std::string_view kKind = "affine";
  explicit AffineQuantizer(QuantizerOptions options = {}) : Quantizer(options) {}
  std::string_view kind() const override { return kKind; }
  std::vector<ParameterSpec> parameters() const override;
  Encoding encoding(ParameterView parameters) const override;
  void initialize(std::span<const Range> ranges, MutableParameterView parameters) const override;
  std::vector<Range> ranges(ParameterView parameters) const override;
  void constrain(MutableParameterView parameters) const override;
  void chain(const EncodingGradient& gradient, const Encoding& encoding, ParameterView parameters,
             MutableParameterView dparameters) const override;
  std::unique_ptr<Quantizer> clone() const override;
};

}  // namespace rung
