#include "io/onnx/import/grid.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "quant/stored_range.h"

namespace rung::io::onnx_import {

using Proto = ::onnx::TensorProto;

QdqCodes qdq_codes(std::int32_t type) {
  switch (type) {
    case Proto::UINT8:
      return {8, false};
    case Proto::INT8:
      return {8, true};
    case Proto::UINT16:
      return {16, false};
    case Proto::INT16:
      return {16, true};
    case kUint4:
      return {4, false};
    case kInt4:
      return {4, true};
    default:
      fail("quantizes to {}: int4, uint4, int8, uint8, int16 and uint16 are imported",
           type_name(type));
  }
}

QdqGrid::QdqGrid(Importer& importer, const Quantized& pair, const Shape& shape)
    : codes_(qdq_codes(pair.type)), bits_(codes_.bits), lowest_(codes_.lowest()) {
  const ConstantPtr scale = importer.constant(pair.scale);
  require(!scale->is_integer(), "needs a scale of floats, got {}", type_name(scale->type));
  scale_shape_ = scale->shape;
  scales_ = scale->floats;
  zero_points_.assign(scales_.size(), 0);
  if (pair.zero_point) {
    const ConstantPtr zero_point = importer.constant(*pair.zero_point);
    require(zero_point->type == pair.type, "has a zero point of {} for codes of {}",
            type_name(zero_point->type), type_name(pair.type));
    zero_points_ = zero_point->whole_numbers();
    require(zero_points_.size() == scales_.size(), "has {} scales and {} zero points",
            scales_.size(), zero_points_.size());
  }
  for (const float each : scales_)
    require(std::isfinite(each) && each > 0.0f, "has the scale {}, expected a positive number",
            each);
  const bool are_zero = std::ranges::all_of(zero_points_, [](auto zero) { return zero == 0; });
  if (codes_.is_signed && are_zero) symmetry_ = Symmetry::symmetric;
  set_granularity(pair, shape);
}

bool QdqGrid::narrow(float low, float high) {
  if (granularity_.axis) return false;
  const auto code = [&](float x) {
    return std::nearbyint(double{x} / double{scales_[0]}) + static_cast<double>(zero_points_[0]);
  };
  const double first = code(low), last = code(high);
  if (!(first >= static_cast<double>(codes_.lowest()) &&
        last <= static_cast<double>(codes_.highest())))
    return false;
  return narrow_codes(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
}

bool QdqGrid::narrow_codes(std::int64_t first, std::int64_t last) {
  const Grid wanted{std::max(first, codes_.lowest()), std::min(last, codes_.highest())};
  // Every grid has a code for 0.
  if (wanted.steps() < 1 || std::ranges::any_of(zero_points_, [&](std::int64_t zero) {
        return zero < wanted.qmin || zero > wanted.qmax;
      }))
    return false;
  for (int bits = 2; bits <= codes_.bits; ++bits) {
    if (symmetry_ == Symmetry::symmetric)
      for (const Symmetry symmetry : {Symmetry::symmetric, Symmetry::strict_symmetric})
        if (make_grid(bits, symmetry) == wanted) {
          bits_ = bits;
          symmetry_ = symmetry;
          return true;
        }
    if (wanted.steps() != make_grid(bits, Symmetry::asymmetric).steps()) continue;
    bits_ = bits;
    symmetry_ = Symmetry::asymmetric;
    lowest_ = wanted.qmin;
    return true;
  }
  return false;
}

std::unique_ptr<Quantizer> QdqGrid::quantizer() const {
  QuantizerOptions options;
  options.bitwidth = bits_;
  options.symmetry = symmetry_;
  options.axis = granularity_.axis;
  options.channels = granularity_.channels;
  options.blocks = granularity_.blocks;
  return std::make_unique<AffineQuantizer>(options);
}

std::vector<Range> QdqGrid::ranges() const {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < scales_.size(); ++i) {
    // An asymmetric grid counts its codes from 0.
    const std::int64_t offset =
        symmetry_ == Symmetry::asymmetric ? lowest_ - zero_points_[i] : std::int64_t{0};
    ranges.push_back(stored_range(std::max(scales_[i], kMinimumScale), offset, bits_, symmetry_));
  }
  return ranges;
}

Tensor QdqGrid::dequantize(const Constant& stored) const {
  Tensor result(stored.shape);
  const std::vector<std::int64_t>& codes = stored.whole_numbers();
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t at = scale_of(static_cast<std::int64_t>(i), stored.shape);
    result.data()[i] = static_cast<float>(codes[i] - zero_points_[at]) * scales_[at];
  }
  return result;
}

void QdqGrid::set_granularity(const Quantized& pair, const Shape& shape) {
  if (scale_shape_.numel() == 1) return;
  const std::int64_t axis = front_axis(pair.axis, shape.rank());
  const std::int64_t size = pair.block_size;
  if (size == 0) {
    require(scale_shape_ == Shape{shape[axis]}, "has scales {} along axis {} of {}", scale_shape_,
            axis, shape);
    granularity_ = {axis, shape[axis], {}};
    return;
  }
  require(shape.rank() >= 2 && scale_shape_.rank() == shape.rank() && shape[axis] % size == 0 &&
              scale_shape_ == shape.with(axis, shape[axis] / size) && shape.numel() > 0,
          "has scales {} for blocks of {} along axis {} of {}", scale_shape_, size, axis, shape);
  const std::int64_t channels = axis == 0 ? 1 : 0;
  granularity_ = {channels, shape[channels], Blocks{axis, size, shape[axis] / size}};
  join_blocks(shape);
}

/// ONNX has a scale for each place on the other axes, too: here they share one.
void QdqGrid::join_blocks(const Shape& shape) {
  std::vector<float> scales(static_cast<std::size_t>(granularity_.count()), 0.0f);
  std::vector<std::int64_t> zero_points(scales.size());
  const std::int64_t size = std::exchange(granularity_.blocks->size, 1);  // of the scales' shape
  for (std::size_t i = 0; i < scales_.size(); ++i) {
    const std::size_t at = scale_of(static_cast<std::int64_t>(i), scale_shape_);
    require(scales[at] == 0.0f || (scales[at] == scales_[i] && zero_points[at] == zero_points_[i]),
            "has blocks of {} that differ along more than one further axis", shape);
    scales[at] = scales_[i];
    zero_points[at] = zero_points_[i];
  }
  granularity_.blocks->size = size;
  scales_ = std::move(scales);
  zero_points_ = std::move(zero_points);
}

/// Returns which scale an element of a tensor of this shape has.
std::size_t QdqGrid::scale_of(std::int64_t position, const Shape& shape) const {
  if (!granularity_.axis) return 0;
  const auto index = [&](std::int64_t axis) {
    std::int64_t inner = 1;
    for (std::int64_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
    return position / inner % shape[axis];
  };
  const std::int64_t channel = index(*granularity_.axis);
  if (!granularity_.blocks) return static_cast<std::size_t>(channel);
  const Blocks& blocks = *granularity_.blocks;
  const std::int64_t block = index(blocks.axis) / blocks.size;
  return static_cast<std::size_t>(*granularity_.axis < blocks.axis
                                      ? channel * blocks.count + block
                                      : block * granularity_.channels + channel);
}

}  // namespace rung::io::onnx_import
