#include "rung/quant/encoding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>

#include "core/check.h"

// The one place that enforces "zero is in the range" and the minimum step. float32 in the order
// that AIMET computes, because encodings must be equal to its encodings bit for bit.

namespace rung {
namespace {

constexpr Symmetry kSymmetries[] = {Symmetry::asymmetric, Symmetry::symmetric,
                                    Symmetry::strict_symmetric, Symmetry::unsigned_symmetric};

bool around_zero(Symmetry symmetry) {
  return symmetry == Symmetry::symmetric || symmetry == Symmetry::strict_symmetric;
}

/// The codes above and below zero: 127 and 128 of a symmetric 8-bit grid.
struct Sides {
  float positive, negative;
};
Sides sides(const Grid& grid) {
  const std::int64_t half = grid.steps() / 2;
  return {static_cast<float>(half), static_cast<float>(grid.steps() - half)};
}

/// Pulls zero in and cuts off what is beyond `limit` or infinite.
Range with_zero(Range range, float limit) {
  return {std::clamp(range.min, -limit, 0.0f), std::clamp(range.max, 0.0f, limit)};
}

// max - min must stay finite (AIMET clamps to all of float32 and gets an infinite scale), for an
// observed range also after its wider side has doubled the other one (2 bits: codes -2 .. 1).
constexpr float kLargestLearned = std::numeric_limits<float>::max() / 2;
constexpr float kLargestObserved = kLargestLearned / 2;

/// Widens a range whose step is below the smallest by one such step per code.
Range with_minimum_step(Range range, const Grid& grid, Symmetry symmetry) {
  const auto steps = static_cast<float>(grid.steps());
  const float smallest = grid.minimum_scale();
  if ((range.max - range.min) / steps >= smallest) return range;
  if (!around_zero(symmetry)) return {range.min, range.max + steps * smallest};
  const auto [positive, negative] = sides(grid);
  return {range.min - negative * smallest, range.max + positive * smallest};
}

/// Returns the legal range that covers the observed one, but for `clipped` steps at its upper end.
Range legal(Range observed, const Grid& grid, Symmetry symmetry, float clipped) {
  require(observed.min <= observed.max, "a range must have min <= max and no NaN, got {} .. {}",
          observed.min, observed.max);
  const Range range = with_minimum_step(with_zero(observed, kLargestObserved), grid, symmetry);
  if (!around_zero(symmetry)) return range;
  // Codes reach one step further down than up: the side that needs the larger step decides.
  const auto [positive, negative] = sides(grid);
  const float step = std::max(range.max / (positive + clipped), -range.min / negative);
  return {-negative * step, positive * step};
}

}  // namespace

std::string_view to_string(Symmetry symmetry) {
  switch (symmetry) {
    case Symmetry::symmetric:
      return "symmetric";
    case Symmetry::strict_symmetric:
      return "strict_symmetric";
    case Symmetry::unsigned_symmetric:
      return "unsigned_symmetric";
    default:
      return "asymmetric";
  }
}

Symmetry parse_symmetry(std::string_view name) {
  for (const Symmetry symmetry : kSymmetries)
    if (to_string(symmetry) == name) return symmetry;
  fail(
      "unknown symmetry \"{}\"; there are asymmetric, symmetric, strict_symmetric and "
      "unsigned_symmetric",
      name);
}

float Grid::minimum_scale() const {
  if (!rules.limit_encodings) return kMinimumScale;
  return static_cast<float>(std::min(
      double{kMinimumScale}, 0.01 / static_cast<double>(std::max<std::int64_t>(steps(), 1))));
}

Grid make_grid(int bitwidth, Symmetry symmetry, GridRules rules) {
  require(bitwidth >= 2 && bitwidth <= kPassThroughBitwidth,
          "bitwidth must be 2..32 (32 lets everything pass), got {}", bitwidth);
  const std::int64_t half = std::int64_t{1} << (bitwidth - 1);
  if (symmetry == Symmetry::symmetric) return {-half, half - 1, rules};
  if (symmetry == Symmetry::strict_symmetric) return {-(half - 1), half - 1, rules};
  return {0, 2 * half - 1, rules};
}

Symmetry resolve_symmetry(Symmetry symmetry, Range observed) {
  const bool negative = symmetry == Symmetry::unsigned_symmetric && observed.min < 0.0f;
  return negative ? Symmetry::symmetric : symmetry;
}

Range legal_range(Range observed, const Grid& grid, Symmetry symmetry) {
  return legal(observed, grid, symmetry, 0.0f);
}

Range legal_min_max(Range observed, const Grid& grid, Symmetry symmetry) {
  const bool uses_all = grid.rules.use_all_two_bit_codes && grid.steps() == 3;
  return legal(observed, grid, symmetry, uses_all ? 1.0f : 0.0f);
}

Range legal_learned_range(Range learned, const Grid& grid, Symmetry symmetry) {
  require(!std::isnan(learned.min) && !std::isnan(learned.max),
          "a learned range became NaN ({} .. {}); lower the learning rate of the encodings",
          learned.min, learned.max);
  Range range = with_zero(learned, kLargestLearned);
  if (symmetry == Symmetry::unsigned_symmetric) range.min = 0.0f;
  return with_minimum_step(range, grid, symmetry);
}

std::int64_t Encoding::file_offset(std::int64_t channel) const {
  return offset.at(static_cast<std::size_t>(channel)) + grid.qmin;
}

Range Encoding::effective_range(std::int64_t channel) const {
  const auto c = static_cast<std::size_t>(channel);
  return {static_cast<float>(offset.at(c) + grid.qmin) * scale.at(c),
          static_cast<float>(offset.at(c) + grid.qmax) * scale.at(c)};
}

Range Encoding::widest_range() const {
  Range widest;
  for (std::int64_t c = 0; c < channels(); ++c) {
    const Range each = effective_range(c);
    widest = {std::min(widest.min, each.min), std::max(widest.max, each.max)};
  }
  return widest;
}

Encoding encoding_from_range(std::span<const float> min, std::span<const float> max, int bitwidth,
                             Symmetry symmetry, const Granularity& granularity) {
  const auto count = static_cast<std::size_t>(granularity.count());
  require(min.size() == count && max.size() == count,
          "an encoding of {} channels needs as many min and max, got {} and {}", count, min.size(),
          max.size());
  Encoding encoding{.bitwidth = bitwidth,
                    .symmetry = symmetry,
                    .grid = make_grid(bitwidth, symmetry),
                    .axis = granularity.axis,
                    .scale = {},
                    .offset = {},
                    .blocks = granularity.blocks};
  const auto steps = static_cast<float>(encoding.grid.steps());
  for (std::size_t c = 0; c < min.size(); ++c) {
    const float scale = (max[c] - min[c]) / steps;
    require(std::isfinite(scale) && scale > 0.0f,
            "the range {} .. {} of channel {} gives no finite positive scale", min[c], max[c], c);
    std::int64_t offset = 0;
    if (symmetry == Symmetry::asymmetric) {
      // Half to even, as torch.round. From 20 bits on, float32 cannot tell neighbouring codes.
      offset = bitwidth < 20 ? static_cast<std::int64_t>(std::nearbyint(min[c] / scale))
                             : static_cast<std::int64_t>(std::nearbyint(double{min[c]} / scale));
      offset -= encoding.grid.qmin;
    }
    encoding.scale.push_back(scale);
    encoding.offset.push_back(offset);
  }
  return encoding;
}

Encoding encoding_from_range(Range range, int bitwidth, Symmetry symmetry) {
  return encoding_from_range({&range.min, 1}, {&range.max, 1}, bitwidth, symmetry);
}

std::string to_string(const Granularity& granularity) {
  if (!granularity.axis) return "per-tensor";
  const std::string channels = fmt::format("axis {}, {}", *granularity.axis, granularity.channels);
  if (!granularity.blocks) return fmt::format("per-channel({})", channels);
  const auto [axis, size, count] = *granularity.blocks;
  return fmt::format("per-block({}; axis {}, {} of {})", channels, axis, count, size);
}

Granularity Encoding::granularity() const {
  if (!axis) return {};
  return {axis, blocks ? channels() / blocks->count : channels(), blocks};
}

std::string to_string(const Encoding& encoding) {
  if (encoding.is_float()) return std::string(encoding.format->name);
  std::string text = fmt::format("int{} {}", encoding.bitwidth, to_string(encoding.symmetry));
  if (encoding.pass_through() || encoding.scale.empty()) return text;
  const auto between = [](const auto& values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return *low == *high ? fmt::format("{:.6g}", double(*low))
                         : fmt::format("{:.6g}..{:.6g}", double(*low), double(*high));
  };
  text += fmt::format(" {}", to_string(encoding.granularity()));
  if (encoding.grouped)
    text += fmt::format(" grouped to {} bits", encoding.grouped->decompressed_bw);
  return text +
         fmt::format(" scale {} offset {}", between(encoding.scale), between(encoding.offset));
}

std::ostream& operator<<(std::ostream& out, const Encoding& encoding) {
  return out << to_string(encoding);
}

}  // namespace rung
