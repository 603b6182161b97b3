#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"

// From a range of real numbers to scale and offset. Base: AIMET version 2; strict_symmetric and
// unsigned_symmetric come from its version 1.

namespace rung {

/// The real numbers from min to max.
struct Range {
  float min = 0.0f, max = 0.0f;
  friend bool operator==(const Range&, const Range&) = default;
};

/// The integers (codes) from qmin to qmax.
struct Grid {
  std::int64_t qmin = 0, qmax = 255;
  std::int64_t steps() const { return qmax - qmin; }  ///< AIMET: num_steps
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
RUNG_API Grid make_grid(int bitwidth, Symmetry symmetry);

/// Returns what unsigned_symmetric means for data seen in `observed`: symmetric if there are
/// negative values. Every other symmetry is returned as it is.
RUNG_API Symmetry resolve_symmetry(Symmetry symmetry, Range observed);

/// Turns an observed range into the min and max that a quantizer stores: contains zero, is finite,
/// steps are at least kMinimumScale, and for symmetric grids the wider side decides. Throws Error
/// for NaN or min > max. AIMET: MinMaxEncodingAnalyzer.compute_encodings_from_stats.
RUNG_API Range legal_range(Range observed, const Grid& grid, Symmetry symmetry);

/// Makes a learned min and max legal again after an optimizer step, changing it as little as
/// possible: min <= 0 <= max, finite, steps of at least kMinimumScale; a legal range is returned
/// bit for bit. Throws Error for NaN.
RUNG_API Range legal_learned_range(Range learned, const Grid& grid, Symmetry symmetry);

/// How one tensor's real numbers and codes belong together: x' = (code + offset) * scale, one
/// scale and offset per tensor, or one per channel along `axis`. AIMET: AffineEncoding.
struct RUNG_API Encoding {
  int bitwidth = 8;
  Symmetry symmetry = Symmetry::asymmetric;
  Grid grid;                         ///< the codes, qmin .. qmax
  std::optional<std::int64_t> axis;  ///< of the channels; none: per tensor
  std::vector<float> scale;          ///< > 0; one per channel
  std::vector<std::int64_t> offset;  ///< on the grid: 0 if symmetric; ONNX zero_point = -offset

  std::int64_t channels() const { return static_cast<std::int64_t>(scale.size()); }
  bool per_channel() const { return axis.has_value(); }
  bool pass_through() const { return bitwidth >= kPassThroughBitwidth; }
  /// Returns the offset as AIMET's files 0.6.1 / 1.0.0 show it, for codes 0 .. 2^bw - 1:
  /// offset + qmin, e.g. -128 for symmetric 8 bit.
  std::int64_t file_offset(std::int64_t channel = 0) const;
  /// Returns the real numbers of the lowest and the highest code (AIMET: effective min and max);
  /// they differ from a quantizer's stored min and max by up to half a step.
  Range effective_range(std::int64_t channel = 0) const;
};

/// Derives scale and offset from legal stored ranges, one per channel (one in all without axis):
/// scale = (max - min) / steps, offset = rint(min / scale) - qmin, or 0 for symmetric grids.
/// `symmetry` must be resolved. Throws Error if a scale would not be finite and positive.
RUNG_API Encoding encoding_from_range(std::span<const float> min, std::span<const float> max,
                                      int bitwidth, Symmetry symmetry,
                                      std::optional<std::int64_t> axis = {});
/// The same for one range per tensor.
RUNG_API Encoding encoding_from_range(Range range, int bitwidth, Symmetry symmetry);

/// Prints e.g. "int8 symmetric per-channel(axis 0, 16) scale 0.0031..0.0188 offset 0".
RUNG_API std::string to_string(const Encoding& encoding);
RUNG_API std::ostream& operator<<(std::ostream& out, const Encoding& encoding);

}  // namespace rung
