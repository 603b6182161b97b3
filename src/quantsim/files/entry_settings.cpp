#include "quantsim/files/entry_settings.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "core/check.h"
#include "quant/stored_range.h"
#include "quantsim/files/file_entries.h"

namespace rung::quantsim {

namespace {

std::int64_t half(std::int64_t bitwidth) { return std::int64_t{1} << (bitwidth - 1); }

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

/// Versions 2.0.0 and 2.1.0 only tell the codes: an asymmetric grid has those of a symmetric one,
/// too.
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

Range range_of(const io::TensorEncoding& entry, std::size_t channel, Symmetry symmetry,
               GridRules rules) {
  const auto bitwidth = static_cast<int>(entry.bitwidth);
  const Grid grid = make_grid(bitwidth, symmetry, rules);
  if (entry.scale.empty())
    return legal_range(
        {static_cast<float>(entry.min[channel]), static_cast<float>(entry.max[channel])}, grid,
        symmetry);
  std::int64_t offset = entry.offset[channel];
  // Unsigned codes in the file; a strict grid's 8 bits begin at -128 only from version 2.0.0 on.
  if (symmetry == Symmetry::strict_symmetric && offset == -half(bitwidth)) offset = grid.qmin;
  require(offset <= 0 && offset + grid.steps() >= 0,
          "has the offset {}, with which zero has no code of {} bits", offset, bitwidth);
  if (!entry.min.empty() && offset == entry.offset[channel] && !agrees(entry, channel, grid))
    fail("has min {} and max {}, but scale {} and offset {}", entry.min[channel],
         entry.max[channel], entry.scale[channel], entry.offset[channel]);
  const auto scale = static_cast<float>(entry.scale[channel]);
  require(std::isfinite(scale) && scale >= grid.minimum_scale(),
          "has the scale {}, expected a float32 number of at least {}", entry.scale[channel],
          grid.minimum_scale());
  return stored_range(scale, offset - grid.qmin, bitwidth, symmetry);
}

/// True for the matrix of a layer that we have as [O, I]: a Gemm's. Where another file has transB =
/// 0 it is [I, O], and the scales of its outputs lie along axis 1.
bool is_gemm_weight(const QuantizerHandle& quantizer) {
  const Value& source = quantizer.source();
  if (source.parameter() == nullptr || source.shape().rank() != 2) return false;
  return std::ranges::all_of(source.uses(), [](const Use& use) {
    return std::ranges::all_of(use.node->output().uses(), [](const Use& reader) {
      const std::optional<Weighted> weighted = reader.node->op().traits().weighted;
      return weighted && weighted->output_axis == 0 && reader.index == weighted->weight;
    });
  });
}

/// Throws Error unless the entry has as many scales as the quantizer, lying as its do.
void check_granularity(const io::TensorEncoding& entry, std::size_t count,
                       const QuantizerHandle& quantizer) {
  const Granularity cut = quantizer.op().quantizer().granularity();
  require(static_cast<std::int64_t>(count) == cut.count(),
          "has {} scales, the quantizer has {} ({})", count, cut.count(), to_string(cut));
  require(entry.block_size == 0 || (cut.blocks && entry.block_size == cut.blocks->size),
          "has blocks of {}, the quantizer is {}", entry.block_size, to_string(cut));
  if (!entry.axis || !cut.axis) return;
  const std::int64_t axis =
      *entry.axis < 0 ? *entry.axis + quantizer.source().shape().rank() : *entry.axis;
  const std::int64_t own = cut.blocks ? cut.blocks->axis : *cut.axis;
  if (!cut.blocks && axis == 1 - own && is_gemm_weight(quantizer)) return;
  require(axis == own, "has its scales along axis {}, the quantizer along axis {}", axis, own);
}

/// Turns low power block quantization into an entry with the scale that each block has.
io::TensorEncoding per_block(const io::TensorEncoding& entry, const QuantizerHandle& quantizer) {
  const auto* grouped = dynamic_cast<const GroupedBlockQuantizer*>(&quantizer.op().quantizer());
  require(grouped != nullptr && grouped->grouping().decompressed_bw == entry.bitwidth,
          "is LPBQ with {} bits decompressed; the quantizer is not", entry.bitwidth);
  check_granularity(entry, entry.per_block_int_scale.size(), quantizer);
  const Granularity cut = grouped->granularity();
  const auto blocks = static_cast<std::size_t>(cut.blocks->count);
  const auto channels = static_cast<std::size_t>(cut.channels);
  require(!entry.scale.empty() && entry.scale.size() % channels == 0 &&
              blocks % (entry.scale.size() / channels) == 0,
          "has {} float scales for {} channels of {} blocks", entry.scale.size(), channels, blocks);
  const std::size_t group = blocks / (entry.scale.size() / channels);

  io::TensorEncoding flat = entry;
  flat.type = io::EncodingType::per_block;
  flat.bitwidth = entry.compressed_bitwidth;
  flat.scale.clear();
  flat.min.clear();
  flat.max.clear();
  for (std::size_t i = 0; i < channels * blocks; ++i) {
    const bool blocks_last = *cut.axis < cut.blocks->axis;
    const std::size_t channel = blocks_last ? i / blocks : i % channels;
    const std::size_t block = blocks_last ? i % blocks : i / channels;
    const std::size_t shared = channel * (blocks / group) + block / group;
    flat.scale.push_back(static_cast<float>(entry.per_block_int_scale[i]) *
                         static_cast<float>(entry.scale[shared]));
  }
  flat.offset.assign(flat.scale.size(), -half(flat.bitwidth));
  return flat;
}

/// Throws Error unless the quantizer means the entry's scales with these settings: a grouped block
/// quantizer rounds them.
void check_grouping(const io::TensorEncoding& entry, const Quantizer& quantizer,
                    const EntrySettings& settings) {
  if (quantizer.kind() != GroupedBlockQuantizer::kKind || entry.scale.empty()) return;
  const std::unique_ptr<Quantizer> trial = quantizer.clone();
  trial->set_bitwidth(settings.bitwidth);
  std::vector<float> min, max;
  for (const Range& range : settings.ranges) {
    min.push_back(range.min);
    max.push_back(range.max);
  }
  const std::vector<std::span<const float>> view{min, max};
  const Encoding meant = trial->encoding(view);
  for (std::size_t i = 0; i < meant.scale.size(); ++i)
    require(std::abs(meant.scale[i] - entry.scale[i]) <= 1e-6 * entry.scale[i],
            "has the scale {} at block {}, which grouping makes {}", entry.scale[i], i,
            meant.scale[i]);
}

EntrySettings float_settings(const io::TensorEncoding& entry, const Quantizer& quantizer) {
  const auto* own = dynamic_cast<const FloatQuantizer*>(&quantizer);
  require(own != nullptr, "is a float of {} bits; the quantizer is not", entry.bitwidth);
  require(entry.bitwidth == own->bitwidth() &&
              (entry.float_type.empty() || entry.float_type == float_type(own->format())),
          "is {}; the quantizer has the format {}",
          entry.float_type.empty() ? fmt::format("a float of {} bits", entry.bitwidth)
                                   : entry.float_type,
          own->format().name);
  return {own->bitwidth(), own->symmetry(), {}};
}

}  // namespace

EntrySettings entry_settings(const io::TensorEncoding& entry, const QuantizerHandle& quantizer,
                             bool states_symmetry) {
  const Quantizer& own = quantizer.op().quantizer();
  if (entry.dtype == io::EncodingDtype::floating) return float_settings(entry, own);
  require(own.kind() != FloatQuantizer::kKind, "is an integer of {} bits; the quantizer is a float",
          entry.bitwidth);
  if (entry.type == io::EncodingType::lpbq)
    return entry_settings(per_block(entry, quantizer), quantizer, states_symmetry);

  const std::size_t count = std::max(entry.scale.size(), entry.min.size());
  require(count > 0, "has neither a range nor a scale");
  check_granularity(entry, count, quantizer);
  EntrySettings settings;
  settings.bitwidth = static_cast<int>(entry.bitwidth);
  const Symmetry symmetry =
      states_symmetry ? stated_symmetry(entry, own) : likely_symmetry(entry, own);
  for (std::size_t c = 0; c < count; ++c)
    settings.ranges.push_back(range_of(entry, c, symmetry, own.options().grid_rules));
  // What was asked for may resolve to what is in force: unsigned_symmetric with negative data.
  Range all = settings.ranges[0];
  for (const Range& range : settings.ranges) all.min = std::min(all.min, range.min);
  settings.symmetry = resolve_symmetry(own.symmetry(), all) == symmetry ? own.symmetry() : symmetry;
  check_grouping(entry, own, settings);
  return settings;
}

}  // namespace rung::quantsim
