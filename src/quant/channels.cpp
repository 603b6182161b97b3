#include "quant/channels.h"

#include <algorithm>

#include "core/check.h"

namespace rung {

Shape Granularity::shape() const {
  if (!axis) return {};
  if (!blocks) return {channels};
  return *axis < blocks->axis ? Shape{channels, blocks->count} : Shape{blocks->count, channels};
}

void Granularity::check(const Shape& tensor) const {
  if (axis && (*axis < 0 || *axis >= tensor.rank() || tensor[*axis] != channels))
    fail("a quantizer of {} channels along axis {} does not fit a tensor {}", channels, *axis,
         tensor);
  if (!axis) require(channels == 1 && !blocks, "a quantizer without a channel axis has one scale");
  if (!blocks) return;
  const auto [block_axis, size, count] = *blocks;
  require(block_axis >= 0 && block_axis < tensor.rank() && block_axis != *axis,
          "blocks must lie along an axis of the tensor {} that is not the channel axis {}, got {}",
          tensor, *axis, block_axis);
  require(size > 0 && count > 0 && tensor[block_axis] == size * count,
          "axis {} of a tensor {} cannot be cut into {} blocks of {}", block_axis, tensor, count,
          size);
}

ChannelRuns::ChannelRuns(const Shape& shape, const Granularity& granularity) {
  granularity.check(shape);
  const auto numel = [&](std::int64_t first, std::int64_t last) {
    std::int64_t product = 1;
    for (std::int64_t i = first; i < last; ++i) product *= shape[i];
    return product;
  };
  if (!granularity.axis) {
    length_ = shape.numel();
    count_ = 1;
    return;
  }
  std::int64_t last = *granularity.axis;
  if (const auto& blocks = granularity.blocks) {
    const std::int64_t first = std::min(last, blocks->axis);
    last = std::max(last, blocks->axis);
    const bool blocks_last = last == blocks->axis;
    outer_extent_ = shape[first];
    outer_chunk_ = blocks_last ? 1 : blocks->size;
    middle_ = numel(first + 1, last);
    inner_count_ = blocks_last ? blocks->count : shape[last];
    length_ = numel(last + 1, shape.rank()) * (blocks_last ? blocks->size : 1);
  } else {
    inner_count_ = shape[last];
    length_ = numel(last + 1, shape.rank());
  }
  count_ = length_ == 0 ? 0 : shape.numel() / length_;
}

}  // namespace rung
