#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/attributes.h"
#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/quant/encoding.h"
#include "rung/quant/fake_quantize.h"

namespace rung {

/// A parameter that a quantizer has: the graph stores it as <quantizer's node>.<name>.
struct ParameterSpec {
  std::string name;  ///< "min", "max", "scale"
  Shape shape;       ///< Granularity::shape()
  float initial = 0.0f;
  bool learnable = true;  ///< false: calibration sets it, training never does
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
  Rounding rounding = {};  ///< of this forward pass
};

/// What Quantizer::backward gets: dx (empty if unwanted) and the parameters' gradients (each empty
/// if unwanted) to overwrite.
struct QuantizeGradIo {
  std::span<const float> x, dy;
  const Shape& shape;
  ParameterView parameters;
  std::span<float> dx;
  MutableParameterView dparameters;
  Rounding rounding = {};  ///< of the forward pass that this belongs to
};

/// The settings every quantizer has.
struct QuantizerOptions {
  int bitwidth = 8;  ///< 2..32; 32 lets everything pass
  Symmetry symmetry = Symmetry::asymmetric;
  std::optional<std::int64_t> axis = {};  ///< of the channels; none: per tensor
  std::int64_t channels = 1;              ///< extent of that axis
  std::optional<Blocks> blocks = {};      ///< of another axis; only with channels
  bool stochastic_rounding = false;       ///< in training; evaluation rounds to the nearest
  GridRules grid_rules = {};
  Granularity granularity() const { return {axis, channels, blocks}; }
  friend bool operator==(const QuantizerOptions&, const QuantizerOptions&) = default;
};

/// Turns parameters into an encoding: one per QuantizeDequantize node. A quantizer that only
/// decides scale and offset runs in the fused kernels; one that computes something else overrides
/// runs_fused(), forward() and backward(). Derive from it for a quantizer of your own; files bring
/// it back, and a QuantScheme can choose it, after register_quantizer() (rung/quant/registry.h).
class RUNG_API Quantizer {
 public:
  /// Throws Error for a bitwidth outside 2..32 or a granularity that makes no sense.
  explicit Quantizer(QuantizerOptions options);
  virtual ~Quantizer() = default;
  /// Returns the quantizer's name in files: "affine", or yours.
  virtual std::string_view kind() const = 0;
  /// Lists what it has beside QuantizerOptions, under its names in files. May throw Error for what
  /// a visitor wrote. The default has nothing.
  virtual void visit(AttributeVisitor&) {}
  /// Lists the parameters; may be empty: then nothing has to be calibrated.
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
  /// Returns the learning rate that suits its parameters, as a share of that of the weights.
  virtual double default_lr_share() const { return 0.1; }

  /// False if forward() must run instead of the fused affine kernels.
  virtual bool runs_fused() const { return true; }
  /// True if backward() must run although forward() is that of the fused kernels: for a gradient
  /// that does not follow from those of scale and offset.
  virtual bool has_own_gradient() const { return false; }
  /// True if forward() and backward() treat every number alike and zero stays zero, so that they
  /// may get data in any order, with zeros between them.
  virtual bool any_order() const { return runs_fused() && !axis(); }
  /// Computes y. The default is quantize_dequantize() with encoding().
  virtual void forward(const QuantizeIo& io) const;
  /// Computes dx and the parameters' gradients. The default is the masked straight-through
  /// gradient and chain().
  virtual void backward(const QuantizeGradIo& io) const;

  // Settings; a change takes effect at the next forward, and needs new ranges to make sense.
  int bitwidth() const { return options_.bitwidth; }
  virtual void set_bitwidth(int bitwidth);  ///< throws Error outside 2..32
  /// Returns the symmetry that was asked for.
  Symmetry symmetry() const { return options_.symmetry; }
  void set_symmetry(Symmetry symmetry);
  /// Returns the symmetry in use: unsigned_symmetric becomes symmetric after negative data.
  Symmetry resolved_symmetry() const;
  /// Tells the range of the calibration data, all channels together.
  void resolve(Range observed);
  bool saw_negative() const { return saw_negative_; }
  Grid grid() const { return make_grid(bitwidth(), resolved_symmetry(), options_.grid_rules); }
  std::optional<std::int64_t> axis() const { return options_.axis; }
  Granularity granularity() const { return options_.granularity(); }
  /// Returns how many scales there are: one per tensor, channel or block.
  std::int64_t channels() const { return granularity().count(); }
  bool pass_through() const { return bitwidth() >= kPassThroughBitwidth; }
  bool stochastic_rounding() const { return options_.stochastic_rounding; }
  void set_stochastic_rounding(bool stochastic) { options_.stochastic_rounding = stochastic; }
  const QuantizerOptions& options() const { return options_; }
  /// Rises with every change of bitwidth and of the symmetry in use.
  std::uint64_t version() const { return version_; }

 private:
  QuantizerOptions options_;
  bool saw_negative_ = false;
  std::uint64_t version_ = 1;
};

/// What quantizers with the parameters min and max have in common.
class RUNG_API RangeQuantizer : public Quantizer {
 public:
  using Quantizer::Quantizer;
  std::vector<ParameterSpec> parameters() const override;
  void initialize(std::span<const Range> ranges, MutableParameterView parameters) const override;
  std::vector<Range> ranges(ParameterView parameters) const override;
  void constrain(MutableParameterView parameters) const override;
  void chain(const EncodingGradient& gradient, const Encoding& encoding, ParameterView parameters,
             MutableParameterView dparameters) const override;
};

/// The quantizer with the parameters min and max, fixed or learned. AIMET: QuantizeDequantize with
/// learnable min and max; "range learning", Esser et al. 2020 in spirit.
class RUNG_API AffineQuantizer final : public RangeQuantizer {
 public:
  static constexpr std::string_view kKind = "affine";
  explicit AffineQuantizer(QuantizerOptions options = {}) : RangeQuantizer(options) {}
  std::string_view kind() const override { return kKind; }
  Encoding encoding(ParameterView parameters) const override;
  std::unique_ptr<Quantizer> clone() const override;
};

/// Learned step size quantization (Esser et al. 2020, "LSQ"): the parameter is the scale itself.
/// Its gradient is that of quantize_dequantize times 1 / sqrt(numbers * largest code), so that a
/// scale moves at the pace of what it scales. The parameter "offset" keeps the zero point that
/// calibration found (0 on symmetric grids) and is never trained. AIMET has no counterpart.
class RUNG_API LsqQuantizer final : public Quantizer {
 public:
  static constexpr std::string_view kKind = "lsq";
  explicit LsqQuantizer(QuantizerOptions options = {}) : Quantizer(options) {}
  std::string_view kind() const override { return kKind; }
  std::vector<ParameterSpec> parameters() const override;
  Encoding encoding(ParameterView parameters) const override;
  void initialize(std::span<const Range> ranges, MutableParameterView parameters) const override;
  void constrain(MutableParameterView parameters) const override;
  void chain(const EncodingGradient& gradient, const Encoding& encoding, ParameterView parameters,
             MutableParameterView dparameters) const override;
  std::unique_ptr<Quantizer> clone() const override;
  /// Scales are smaller numbers than ranges and reach every code at once.
  double default_lr_share() const override { return 0.05; }
};

struct GroupedBlockOptions {
  int decompressed_bw = 8;
  /// How many blocks share a float scale; -1: all of a channel. AIMET: block_grouping.
  std::int64_t block_grouping = -1;
  friend bool operator==(const GroupedBlockOptions&, const GroupedBlockOptions&) = default;
};

/// Low power block quantization (LPBQ): the scale of each block is a whole multiple, 1 ..
/// 2^(decompressed_bw - bitwidth), of a float scale that a group of blocks shares, so that hardware
/// can add up codes * multiple as integers of decompressed_bw bits. Symmetric only; stores min and
/// max of each block. Gradients pass the rounding of the multiple unchanged. AIMET:
/// GroupedBlockQuantizeDequantize.
class RUNG_API GroupedBlockQuantizer final : public RangeQuantizer {
 public:
  static constexpr std::string_view kKind = "grouped_block";
  /// Throws Error unless symmetric, with blocks that the grouping divides, and bitwidth <=
  /// decompressed_bw <= 31.
  explicit GroupedBlockQuantizer(QuantizerOptions options, GroupedBlockOptions grouping = {});
  std::string_view kind() const override { return kKind; }
  void visit(AttributeVisitor& visitor) override;
  const GroupedBlockOptions& grouping() const { return grouping_; }
  Encoding encoding(ParameterView parameters) const override;
  void set_bitwidth(int bitwidth) override;
  std::unique_ptr<Quantizer> clone() const override;

 private:
  GroupedBlockOptions grouping_;
};

/// Rounds to a floating-point format: no parameters, nothing to calibrate. AIMET:
/// FloatQuantizeDequantize; QuantizationDataType.float.
class RUNG_API FloatQuantizer final : public Quantizer {
 public:
  static constexpr std::string_view kKind = "float";
  explicit FloatQuantizer(const FloatFormat& format = kFloat16);
  std::string_view kind() const override { return kKind; }
  void visit(AttributeVisitor& visitor) override;
  const FloatFormat& format() const { return format_; }
  std::vector<ParameterSpec> parameters() const override { return {}; }
  Encoding encoding(ParameterView parameters) const override;
  void initialize(std::span<const Range>, MutableParameterView) const override {}
  void chain(const EncodingGradient&, const Encoding&, ParameterView,
             MutableParameterView) const override {}
  bool runs_fused() const override { return false; }
  bool any_order() const override { return true; }
  void forward(const QuantizeIo& io) const override;
  void backward(const QuantizeGradIo& io) const override;
  /// Throws Error unless it is the format's: make another quantizer for another format.
  void set_bitwidth(int bitwidth) override;
  std::unique_ptr<Quantizer> clone() const override;

 private:
  FloatFormat format_;
};

/// Prints the kind and what its visit() lists, e.g. "affine" or "float {format=bfloat16}".
RUNG_API std::string to_string(const Quantizer& quantizer);

}  // namespace rung
