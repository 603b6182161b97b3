#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "rung/quant/quantizer.h"

// Two levels of scales. With K = 2^(decompressed_bw - bitwidth), for each block b of a group g:
//
//   s_b = (max_b - min_b) / steps       what the block would want alone
//   s_g = max over the group of s_b, / K
//   k_b = clamp(rint(s_b / s_g), 1, K)   a whole number
//   scale of the block = k_b * s_g

namespace rung {
namespace {

void check(const QuantizerOptions& options, const GroupedBlockOptions& grouping) {
  require(options.symmetry == Symmetry::symmetric || options.symmetry == Symmetry::strict_symmetric,
          "a grouped block quantizer must be symmetric, got {}", to_string(options.symmetry));
  require(options.bitwidth <= grouping.decompressed_bw && grouping.decompressed_bw <= 31,
          "decompressed_bw must be at least the bitwidth {} and at most 31, got {}",
          options.bitwidth, grouping.decompressed_bw);
  require(options.blocks.has_value(), "a grouped block quantizer needs blocks");
  const std::int64_t group = grouping.block_grouping;
  require(group == -1 || (group > 0 && options.blocks->count % group == 0),
          "block_grouping must be -1 or divide the {} blocks, got {}", options.blocks->count,
          group);
}

}  // namespace

GroupedBlockQuantizer::GroupedBlockQuantizer(QuantizerOptions options, GroupedBlockOptions grouping)
    : RangeQuantizer(options), grouping_(grouping) {
  check(options, grouping);
}

void GroupedBlockQuantizer::visit(AttributeVisitor& visitor) {
  GroupedBlockOptions grouping = grouping_;
  std::int64_t decompressed_bw = grouping.decompressed_bw;
  visitor("decompressed_bw", decompressed_bw);
  visitor("block_grouping", grouping.block_grouping);
  require(decompressed_bw >= 2 && decompressed_bw <= 31, "decompressed_bw must be 2..31, got {}",
          decompressed_bw);
  grouping.decompressed_bw = static_cast<int>(decompressed_bw);
  check(options(), grouping);
  grouping_ = grouping;
}

void GroupedBlockQuantizer::set_bitwidth(int bitwidth) {
  QuantizerOptions changed = options();
  changed.bitwidth = bitwidth;
  check(changed, grouping_);
  Quantizer::set_bitwidth(bitwidth);
}

Encoding GroupedBlockQuantizer::encoding(ParameterView parameters) const {
  Encoding encoding = encoding_from_range(parameters[0], parameters[1], bitwidth(),
                                          resolved_symmetry(), granularity());
  const Granularity cut = granularity();
  const auto blocks = static_cast<std::size_t>(cut.blocks->count);
  const auto channels = static_cast<std::size_t>(cut.channels);
  const std::size_t group =
      grouping_.block_grouping == -1 ? blocks : static_cast<std::size_t>(grouping_.block_grouping);
  const bool blocks_last = *cut.axis < cut.blocks->axis;
  const auto index = [&](std::size_t channel, std::size_t block) {
    return blocks_last ? channel * blocks + block : block * channels + channel;
  };
  const auto factor = std::ldexp(1.0f, grouping_.decompressed_bw - bitwidth());
  GroupedScales grouped{.decompressed_bw = grouping_.decompressed_bw,
                        .per_channel_scale = {},
                        .per_block_int_scale = std::vector<std::int64_t>(channels * blocks)};
  for (std::size_t channel = 0; channel < channels; ++channel)
    for (std::size_t first = 0; first < blocks; first += group) {
      float largest = 0.0f;
      for (std::size_t b = first; b < first + group; ++b)
        largest = std::max(largest, encoding.scale[index(channel, b)]);
      const float shared = largest / factor;
      grouped.per_channel_scale.push_back(shared);
      for (std::size_t b = first; b < first + group; ++b) {
        float& scale = encoding.scale[index(channel, b)];
        const float whole = std::clamp(std::nearbyint(scale / shared), 1.0f, factor);
        grouped.per_block_int_scale[index(channel, b)] = static_cast<std::int64_t>(whole);
        scale = whole * shared;
      }
    }
  encoding.grouped = std::move(grouped);
  return encoding;
}

std::unique_ptr<Quantizer> GroupedBlockQuantizer::clone() const {
  return std::make_unique<GroupedBlockQuantizer>(*this);
}

}  // namespace rung
