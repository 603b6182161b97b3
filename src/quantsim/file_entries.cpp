#include "quantsim/file_entries.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/format.h"

namespace rung::quantsim {

namespace {

std::int64_t half(std::int64_t bitwidth) { return std::int64_t{1} << (bitwidth - 1); }

/// Moves by so many float32 numbers.
float nudged(float x, int steps) {
  const float end =
      std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(steps));
  for (int i = 0; i < std::abs(steps); ++i) x = std::nextafter(x, end);
  return x;
}

/// Returns the symmetry that an entry's offsets tell, all being equal; none if they tell nothing.
std::optional<Symmetry> symmetry_of(const io::TensorEncoding& entry) {
  if (entry.offset.empty()) return std::nullopt;
  const auto all = [&](std::int64_t offset) {
    return std::ranges::all_of(entry.offset, [=](std::int64_t o) { return o == offset; });
  };
  const std::int64_t middle = half(entry.bitwidth);
  if (all(-middle)) return Symmetry::symmetric;
  if (all(1 - middle)) return Symmetry::strict_symmetric;
  if (all(0)) return Symmetry::unsigned_symmetric;
  fail("is symmetric, but its offset is {}; it must be {}, {} (strict) or 0 (unsigned)",
       *std::ranges::find_if(entry.offset, [=](std::int64_t o) { return o != -middle; }), -middle,
       1 - middle);
}

/// Returns the symmetry that is in force with an entry that says whether it is symmetric.
Symmetry stated_symmetry(const io::TensorEncoding& entry, const Quantizer& quantizer) {
  if (!entry.is_symmetric) return Symmetry::asymmetric;
  if (const auto told = symmetry_of(entry)) return *told;
  const Range range{static_cast<float>(std::ranges::min(entry.min)), 0.0f};
  const Symmetry own = resolve_symmetry(quantizer.symmetry(), range);
  return own == Symmetry::asymmetric ? Symmetry::symmetric : own;
}

/// Version 2.0.0 only tells the codes: an asymmetric grid has those of a symmetric one, too.
Symmetry likely_symmetry(const io::TensorEncoding& entry, const Quantizer& quantizer) {
  const Symmetry own = quantizer.symmetry();
  const bool is_unsigned = std::ranges::all_of(entry.offset, [](std::int64_t o) { return o == 0; });
  if (entry.is_symmetric) {
    if (own == Symmetry::strict_symmetric) return own;
    return own == Symmetry::asymmetric && !entry.is_signed ? own : Symmetry::symmetric;
  }
  return is_unsigned && own == Symmetry::unsigned_symmetric ? own : Symmetry::asymmetric;
}

/// True if min and max are those that scale and offset mean, but for rounding.
bool agrees(const io::TensorEncoding& entry, std::size_t channel, const Grid& grid) {
  const double scale = entry.scale[channel];
  const double min = scale * static_cast<double>(entry.offset[channel]);
  const double max = scale * static_cast<double>(entry.offset[channel] + grid.steps());
  const double tolerance = 0.01 * scale + 1e-6 * std::max(-min, max);
  return std::abs(entry.min[channel] - min) <= tolerance &&
         std::abs(entry.max[channel] - max) <= tolerance;
}

Range range_of(const io::TensorEncoding& entry, std::size_t channel, Symmetry symmetry) {
  const auto bitwidth = static_cast<int>(entry.bitwidth);
  const Grid grid = make_grid(bitwidth, symmetry);
  if (entry.scale.empty())
    return legal_range(
        {static_cast<float>(entry.min[channel]), static_cast<float>(entry.max[channel])}, grid,
        symmetry);
  std::int64_t offset = entry.offset[channel];
  // Unsigned codes in the file; a strict grid's 8 bits begin at -128 only in version 2.0.0.
  if (symmetry == Symmetry::strict_symmetric && offset == -half(bitwidth)) offset = grid.qmin;
  require(offset <= 0 && offset + grid.steps() >= 0,
          "has the offset {}, with which zero has no code of {} bits", offset, bitwidth);
  require(entry.min.empty() || offset != entry.offset[channel] || agrees(entry, channel, grid),
          "has min {} and max {}, but scale {} and offset {}", entry.min[channel],
          entry.max[channel], entry.scale[channel], entry.offset[channel]);
  const auto scale = static_cast<float>(entry.scale[channel]);
  require(std::isfinite(scale) && scale >= kMinimumScale,
          "has the scale {}, expected a float32 number of at least {}", entry.scale[channel],
          kMinimumScale);
  return stored_range(scale, offset - grid.qmin, bitwidth, symmetry);
}

}  // namespace

io::TensorEncoding file_entry(std::string name, const Encoding& encoding, bool is_parameter) {
  io::TensorEncoding entry;
  entry.name = std::move(name);
  entry.type =
      encoding.per_channel() ? io::EncodingType::per_channel : io::EncodingType::per_tensor;
  entry.axis = encoding.axis;
  entry.bitwidth = encoding.bitwidth;
  entry.is_symmetric = encoding.symmetry != Symmetry::asymmetric;
  entry.is_signed = is_parameter && encoding.grid.qmin < 0;
  for (std::int64_t c = 0; c < encoding.channels(); ++c) {
    const Range range = encoding.effective_range(c);
    entry.min.push_back(range.min);
    entry.max.push_back(range.max);
    entry.scale.push_back(encoding.scale[static_cast<std::size_t>(c)]);
    entry.offset.push_back(encoding.file_offset(c));
  }
  return entry;
}

Range stored_range(float scale, std::int64_t offset, int bitwidth, Symmetry symmetry) {
  const Grid grid = make_grid(bitwidth, symmetry);
  const Range range{static_cast<float>(offset + grid.qmin) * scale,
                    static_cast<float>(offset + grid.qmax) * scale};
  const auto means_it = [&](Range stored) {
    const Encoding encoding = encoding_from_range(stored, bitwidth, symmetry);
    return encoding.scale[0] == scale && encoding.offset[0] == offset;
  };
  // (max - min) / steps rounds twice, so that the ends of the grid often miss by one bit.
  constexpr int kReach = 4;
  for (int distance = 0; distance <= 2 * kReach; ++distance)
    for (int low = -std::min(distance, kReach); low <= std::min(distance, kReach); ++low)
      for (const int sign : {1, -1}) {
        const int high = sign * (distance - std::abs(low));
        const bool moves_zero = (range.min == 0.0f && low != 0) || (range.max == 0.0f && high != 0);
        if (std::abs(high) > kReach || moves_zero) continue;
        const Range stored{nudged(range.min, low), nudged(range.max, high)};
        if (stored.min <= 0.0f && stored.max >= 0.0f && means_it(stored)) return stored;
      }
  return range;
}

EntrySettings entry_settings(const io::TensorEncoding& entry, const Quantizer& quantizer,
                             bool states_symmetry) {
  require(entry.dtype == io::EncodingDtype::integer, "is a float of {} bits; the quantizer is not",
          entry.bitwidth);
  require(entry.type == io::EncodingType::per_tensor || entry.type == io::EncodingType::per_channel,
          "is quantized in blocks; the quantizer is not");
  const std::size_t count = std::max(entry.scale.size(), entry.min.size());
  require(count > 0, "has neither a range nor a scale");
  require(static_cast<std::int64_t>(count) == quantizer.channels(),
          "has {} channels, the quantizer has {}", count, quantizer.channels());
  require(!entry.axis || !quantizer.axis() || *entry.axis == *quantizer.axis(),
          "has its channels on axis {}, the quantizer on axis {}", entry.axis.value_or(0),
          quantizer.axis().value_or(0));
  EntrySettings settings;
  settings.bitwidth = static_cast<int>(entry.bitwidth);
  const Symmetry symmetry =
      states_symmetry ? stated_symmetry(entry, quantizer) : likely_symmetry(entry, quantizer);
  for (std::size_t c = 0; c < count; ++c) settings.ranges.push_back(range_of(entry, c, symmetry));
  // What was asked for may resolve to what is in force: unsigned_symmetric with negative data.
  Range all = settings.ranges[0];
  for (const Range& range : settings.ranges) all.min = std::min(all.min, range.min);
  settings.symmetry =
      resolve_symmetry(quantizer.symmetry(), all) == symmetry ? quantizer.symmetry() : symmetry;
  return settings;
}

std::vector<std::string> tensor_keys(const QuantizerHandle& quantizer) {
  if (quantizer.place() != QuantizerPlace::edge) return {quantizer.source().name()};
  return {quantizer.source().name(), quantizer.node().output().name()};
}

std::string ModuleKey::to_string() const {
  const bool is_input = side == io::ModuleEncoding::Side::input;
  return fmt::format("{}.{}_quantizers.{}", module, is_input ? "input" : "output", index);
}

std::vector<ModuleKey> module_keys(const QuantizerHandle& quantizer) {
  const Node* producer = quantizer.source().producer();
  if (quantizer.place() == QuantizerPlace::value && producer != nullptr)
    return {{producer->name(), io::ModuleEncoding::Side::output,
             static_cast<std::int64_t>(quantizer.source().output_index())}};
  std::vector<ModuleKey> keys;
  for (const Use& use : quantizer.node().output().uses())
    keys.push_back(
        {use.node->name(), io::ModuleEncoding::Side::input, static_cast<std::int64_t>(use.index)});
  return keys;
}

}  // namespace rung::quantsim
