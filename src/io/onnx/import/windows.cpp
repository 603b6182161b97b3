#include "io/onnx/import/windows.h"

#include <algorithm>

#include "core/join.h"
#include "io/files/names.h"

namespace rung::io::onnx_import {
namespace {

using Ints = std::vector<std::int64_t>;

void check_list(const char* name, const Ints& list, std::size_t size, std::int64_t least) {
  require(list.size() == size &&
              std::ranges::all_of(
                  list, [=](std::int64_t each) { return each >= least && each <= kMaxExtent; }),
          "{} [{}] must be {} numbers from {} on", name, join(list), size, least);
}

}  // namespace

Ints Windows::list(const std::array<std::int64_t, 2>& pair) const {
  return axes == 1 ? Ints{pair[1]} : Ints{pair[0], pair[1]};
}

Ints Windows::list(const std::array<std::int64_t, 4>& sides) const {
  return axes == 1 ? Ints{sides[1], sides[3]} : Ints{sides.begin(), sides.end()};
}

WindowLists read_window_lists(const NodeReader& node, const Shape& data, const Ints& kernel) {
  require(data.rank() >= 3, "works on [N, C, ...], got {}", data);
  const auto axes = static_cast<std::size_t>(data.rank() - 2);
  const Ints ones(axes, 1);
  const Ints extents = node.integers("kernel_shape", kernel);
  require(kernel.empty() || extents == kernel, "kernel_shape [{}] is not that of the weight, [{}]",
          join(extents), join(kernel));
  const Ints strides = node.integers("strides", ones), dilations = node.integers("dilations", ones);
  Ints pads = node.integers("pads", Ints(2 * axes, 0));
  check_list("kernel_shape", extents, axes, 1);
  check_list("strides", strides, axes, 1);
  check_list("dilations", dilations, axes, 1);
  check_list("pads", pads, 2 * axes, 0);
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (std::size_t i = 0; i < axes; ++i) {
      const std::int64_t size = data.dims()[i + 2];
      const std::int64_t result = (size + strides[i] - 1) / strides[i];
      const std::int64_t reach = (extents[i] - 1) * dilations[i] + 1;
      const std::int64_t all = std::max<std::int64_t>((result - 1) * strides[i] + reach - size, 0);
      const std::int64_t less = all / 2, more = all - less;
      pads[i] = automatic == "SAME_UPPER" ? less : more;
      pads[i + axes] = all - pads[i];
    }
  } else if (automatic == "VALID") {
    std::ranges::fill(pads, 0);
  } else {
    require(automatic == "NOTSET", "has the auto_pad {}", shown_name(automatic));
  }
  return {extents, strides, dilations, pads};
}

Windows read_windows(const NodeReader& node, const Shape& data, const Ints& kernel) {
  require(data.rank() == 3 || data.rank() == 4, "works on [N, C, L] or [N, C, H, W] here, got {}",
          data);
  const auto axes = static_cast<std::size_t>(data.rank() - 2);
  const auto [extents, strides, dilations, pads] = read_window_lists(node, data, kernel);
  Windows windows;
  windows.axes = static_cast<std::int64_t>(axes);
  for (std::size_t i = 0; i < axes; ++i) {
    const std::size_t to = i + 2 - axes;
    windows.kernel[to] = extents[i];
    windows.strides[to] = strides[i];
    windows.dilations[to] = dilations[i];
    windows.pads[to] = pads[i];
    windows.pads[to + 2] = pads[i + axes];
  }
  return windows;
}

}  // namespace rung::io::onnx_import
