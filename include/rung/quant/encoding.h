#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/quant/float_format.h"

// From a range of real numbers to scale and offset. Base: AIMET version 2; strict_symmetric and
// unsigned_symmetric come from its version 1.

namespace rung {

/// The real numbers from min to max.
struct Range {
  float min = 0.0f, max = 0.0f;
  friend bool operator==(const Range&, const Range&) = default;
};

/// How ranges become encodings, where versions of AIMET differ: rules of a configuration file of
/// the same names (rung/quantsim/config_rules.h). The defaults are October 2024's, as in files that
/// say nothing.
struct GridRules {
  /// Symmetric min-max of 2 bits: scale = max(max / 2, -min / 2), which clips the upper end but
  /// uses all four codes; false: max(max, -min / 2).
  bool use_all_two_bit_codes = false;
  /// The smallest scale is min(kMinimumScale, 0.01 / steps): from 17 bits on constant data get a
  /// range of 0.01; and an offset at either end of the codes has no gradient. false: kMinimumScale
  /// for all bitwidths, and it has.
  bool limit_encodings = false;
  friend bool operator==(const GridRules&, const GridRules&) = default;
};

/// The integers (codes) from qmin to qmax, and how ranges are laid on them.
struct RUNG_API Grid {
  std::int64_t qmin = 0, qmax = 255;
  GridRules rules = {};
  std::int64_t steps() const { return qmax - qmin; }  ///< AIMET: num_steps
  float minimum_scale() const;                        ///< kMinimumScale, or less: see GridRules
  friend bool operator==(const Grid&, const Grid&) = default;
};

/// How codes lie around zero.
enum class Symmetry {
  asymmetric,          ///< 0 .. 2^bw - 1, offset <= 0
  symmetric,           ///< -2^(bw-1) .. 2^(bw-1) - 1, offset 0
  strict_symmetric,    ///< -(2^(bw-1) - 1) .. 2^(bw-1) - 1, offset 0
  unsigned_symmetric,  ///< 0 .. 2^bw - 1, offset 0; only for data without negative values
};
RUNG_API std::string_view to_string(Symmetry symmetry);
/// Returns the symmetry of this name ("asymmetric", ...); throws Error listing them otherwise.
RUNG_API Symmetry parse_symmetry(std::string_view name);

/// The bitwidth at which a quantizer lets everything pass unchanged.
inline constexpr int kPassThroughBitwidth = 32;
/// The smallest scale: float32's epsilon (AIMET's).
inline constexpr float kMinimumScale = 1.1920929e-7f;

/// Returns the codes of `bitwidth` 2..32; throws Error outside.
RUNG_API Grid make_grid(int bitwidth, Symmetry symmetry, GridRules rules = {});

/// Returns what unsigned_symmetric means for data seen in `observed`: symmetric if there are
/// negative values. Every other symmetry is returned as it is.
RUNG_API Symmetry resolve_symmetry(Symmetry symmetry, Range observed);

/// Turns an observed range into the min and max that a quantizer stores: contains zero, is finite,
/// steps are at least grid.minimum_scale(), and for symmetric grids the wider side decides. Throws
/// Error for NaN or min > max. AIMET: MinMaxEncodingAnalyzer.compute_encodings_from_stats.
RUNG_API Range legal_range(Range observed, const Grid& grid, Symmetry symmetry);

/// The same for what min-max estimates: under GridRules::use_all_two_bit_codes a symmetric grid of
/// 2 bits cuts off the upper half of a range whose max is beyond -min / 2.
RUNG_API Range legal_min_max(Range observed, const Grid& grid, Symmetry symmetry);

/// Makes a learned min and max legal again after an optimizer step, changing it as little as
/// possible: min <= 0 <= max, finite, steps of at least grid.minimum_scale(); a legal range is
/// returned bit for bit. Throws Error for NaN.
RUNG_API Range legal_learned_range(Range learned, const Grid& grid, Symmetry symmetry);

/// Cuts an axis into `count` blocks of `size` consecutive elements. AIMET: block_size.
struct Blocks {
  std::int64_t axis = 1;
  std::int64_t size = 1;
  std::int64_t count = 1;
  friend bool operator==(const Blocks&, const Blocks&) = default;
};

/// Says which numbers of a tensor share a scale and an offset: all of them, those of one channel,
/// or those of one block of one channel. AIMET: the shape and block_size of a quantizer.
struct RUNG_API Granularity {
  std::optional<std::int64_t> axis = {};  ///< of the channels; none: per tensor
  std::int64_t channels = 1;              ///< extent of that axis
  std::optional<Blocks> blocks = {};      ///< of another axis; only with channels

  /// Returns how many scales there are.
  std::int64_t count() const { return blocks ? channels * blocks->count : channels; }
  /// Returns [] per tensor, [channels] per channel; with blocks both counts, in the order of the
  /// tensor's axes: [channels, blocks] for a weight [O, I, ...] cut along I.
  Shape shape() const;
  /// Throws Error unless a tensor of this shape can be cut so.
  void check(const Shape& tensor) const;
  friend bool operator==(const Granularity&, const Granularity&) = default;
};

/// What low power block quantization (LPBQ) makes of the scales of blocks:
/// scale = per_block_int_scale * per_channel_scale. AIMET: GroupedBlockEncoding.
struct GroupedScales {
  int decompressed_bw = 8;                        ///< codes * per_block_int_scale fit these bits
  std::vector<float> per_channel_scale;           ///< one per group of blocks
  std::vector<std::int64_t> per_block_int_scale;  ///< 1 .. 2^(decompressed_bw - bitwidth)
};

/// How one tensor's real numbers and codes belong together: x' = (code + offset) * scale, one
/// scale and offset per tensor, per channel along `axis`, or per block of a channel. With `format`
/// there are no codes: numbers are rounded to a floating-point format. AIMET: AffineEncoding.
struct RUNG_API Encoding {
  int bitwidth = 8;
  Symmetry symmetry = Symmetry::asymmetric;
  Grid grid;                         ///< the codes, qmin .. qmax
  std::optional<std::int64_t> axis;  ///< of the channels; none: per tensor
  std::vector<float> scale;  ///< > 0; one per channel or block, as Granularity::shape() says
  std::vector<std::int64_t> offset;  ///< on the grid: 0 if symmetric; ONNX zero_point = -offset
  std::optional<Blocks> blocks = {};
  std::optional<GroupedScales> grouped = {};  ///< what the scales are made of, for files
  std::optional<FloatFormat> format = {};

  /// Returns how many scales there are.
  std::int64_t channels() const { return static_cast<std::int64_t>(scale.size()); }
  Granularity granularity() const;
  bool per_channel() const { return axis.has_value(); }
  bool is_float() const { return format.has_value(); }
  bool pass_through() const { return bitwidth >= kPassThroughBitwidth; }
  /// Returns the offset as AIMET's files 0.6.1 / 1.0.0 show it, for codes 0 .. 2^bw - 1:
  /// offset + qmin, e.g. -128 for symmetric 8 bit.
  std::int64_t file_offset(std::int64_t channel = 0) const;
  /// Returns the real numbers of the lowest and the highest code (AIMET: effective min and max);
  /// they differ from a quantizer's stored min and max by up to half a step.
  Range effective_range(std::int64_t channel = 0) const;
  /// Returns what these of all channels, and zero, lie in.
  Range widest_range() const;
};

/// Derives scale and offset from legal stored ranges, one per granularity.count():
/// scale = (max - min) / steps, offset = rint(min / scale) - qmin, or 0 for symmetric grids.
/// `symmetry` must be resolved. Throws Error if a scale would not be finite and positive.
RUNG_API Encoding encoding_from_range(std::span<const float> min, std::span<const float> max,
                                      int bitwidth, Symmetry symmetry,
                                      const Granularity& granularity = {});
/// The same for one range per tensor.
RUNG_API Encoding encoding_from_range(Range range, int bitwidth, Symmetry symmetry);

/// Prints "per-tensor", "per-channel(axis 0, 16)" or "per-block(axis 0, 16; axis 1, 2 of 32)".
RUNG_API std::string to_string(const Granularity& granularity);
/// Prints e.g. "int8 symmetric per-channel(axis 0, 16) scale 0.0031..0.0188 offset 0".
RUNG_API std::string to_string(const Encoding& encoding);
RUNG_API std::ostream& operator<<(std::ostream& out, const Encoding& encoding);

}  // namespace rung
