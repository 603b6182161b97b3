// Constants that are clipped and taken apart.

#include <algorithm>
#include <limits>
#include <numeric>
#include <type_traits>

#include "core/check.h"
#include "core/join.h"
#include "io/onnx/constants/helpers.h"

namespace rung::io::onnx_import {

using Inputs = std::vector<ConstantPtr>;
using Ints = std::vector<std::int64_t>;

namespace {

void require_fixed(const Constant& x) { require(x.per_batch.empty(), "depends on the batch size"); }

/// Returns input i of a Clip as whole numbers or as floats, or what stands for a missing one.
template <typename T>
T bound(const NodeReader& node, const Inputs& inputs, std::size_t i, const char* name, T missing) {
  if constexpr (std::is_same_v<T, float>) {
    if (node.opset() < 11) return node.number(name, missing);
  }
  if (i >= inputs.size() || !inputs[i]) return missing;
  const Constant& given = *inputs[i];
  require(given.shape.numel() == 1 && given.is_integer() == std::is_integral_v<T>,
          "{} must be one number of the type of the others, got {} of {}", name, given.shape,
          type_name(given.type));
  require_fixed(given);
  if constexpr (std::is_integral_v<T>)
    return given.integers[0];
  else
    return given.floats[0];
}

}  // namespace

/// Of integers the bounds are remembered: codes that are clipped have a grid of fewer.
Constant evaluate_clip(const NodeReader& node, const Inputs& inputs, Budget&) {
  Constant result = input(inputs, 0);
  require_fixed(result);
  if (result.is_integer()) {
    require(node.opset() >= 12, "clips {}, which opset {} has not", type_name(result.type),
            node.opset());
    using Limits = std::numeric_limits<std::int64_t>;
    const std::int64_t low = bound<std::int64_t>(node, inputs, 1, "min", Limits::min());
    const std::int64_t high = bound<std::int64_t>(node, inputs, 2, "max", Limits::max());
    for (std::int64_t& each : result.integers) each = std::min(std::max(each, low), high);
    result.limits = joint_limits(result.limits, low, high);
  } else {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float low = bound<float>(node, inputs, 1, "min", -kInfinity);
    const float high = bound<float>(node, inputs, 2, "max", kInfinity);
    for (float& each : result.floats) each = std::min(std::max(each, low), high);
  }
  return result;
}

std::optional<std::array<std::int64_t, 2>> joint_limits(
    const std::optional<std::array<std::int64_t, 2>>& limits, std::int64_t low, std::int64_t high) {
  if (!limits) return std::array{low, high};
  return std::array{std::max((*limits)[0], low), std::min((*limits)[1], high)};
}

Ints split_sizes(const NodeReader& node, const ConstantPtr& given, std::int64_t extent) {
  Ints sizes;
  if (node.opset() < 13)
    sizes = node.integers("split");
  else if (given != nullptr)
    sizes = given->whole_numbers();
  const auto count = static_cast<std::int64_t>(node.output_count());
  require(node.integer("num_outputs", count) == count, "has {} outputs, num_outputs says {}", count,
          node.integer("num_outputs", count));
  require(count > 0, "has no outputs");
  if (sizes.empty()) {
    // The last part is smaller where the others do not fit; before opset 18 they must.
    const std::int64_t size = (extent + count - 1) / count;
    require(node.opset() >= 18 || size * count == extent, "cannot make {} equal parts of {}", count,
            extent);
    sizes.assign(static_cast<std::size_t>(count), size);
    sizes.back() = extent - size * (count - 1);
  }
  for (const std::int64_t size : sizes)
    require(size > 0 && size <= extent, "makes a part of {} of {} elements", size, extent);
  require(std::ssize(sizes) == count &&
              std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) == extent,
          "has {} outputs and makes parts of {} of {} elements", count, join(sizes), extent);
  return sizes;
}

std::vector<Constant> evaluate_split(const NodeReader& node, const Inputs& inputs) {
  const Constant& x = input(inputs, 0);
  const std::int64_t axis = front_axis(node.integer("axis", 0), x.shape.rank());
  const Ints steps = strides_of(x.shape);
  std::vector<Constant> parts;
  std::int64_t begin = 0;
  for (const std::int64_t size :
       split_sizes(node, inputs.size() > 1 ? inputs[1] : nullptr, x.shape[axis])) {
    const Shape shape = x.shape.with(axis, size);
    parts.push_back(
        take(x, shape, positions(shape, steps, begin * steps[static_cast<std::size_t>(axis)])));
    begin += size;
  }
  return parts;
}

}  // namespace rung::io::onnx_import
