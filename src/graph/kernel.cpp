#include "rung/graph/kernel.h"

#include <algorithm>

#include "core/check.h"

namespace rung {

void Kernel::backward(const GradIo&) { fail("kernel {} has no gradient", name()); }

namespace detail {

void set_simple_formats(Kernel& kernel, Layout layout, const KernelContext& context) {
  Format format = Format::plain;
  // Blocked only if every input has the full shape: a broadcast operand has no channel blocks.
  const bool alike = std::ranges::all_of(
      context.inputs, [&](const Shape& shape) { return shape == context.inputs[0]; });
  if (layout != Layout::plain && alike)
    for (const Format offered : context.formats) format = std::max(format, offered);
  kernel.input_formats.assign(context.inputs.size(), format);
  kernel.output_formats.assign(context.outputs.size(), format);
}

void clear_padding(const View& view) {
  const auto lanes = static_cast<std::int64_t>(view.format);
  if (lanes == 1 || view.shape->numel() == 0) return;
  const Shape& shape = *view.shape;
  const std::int64_t blocks = (shape[1] + lanes - 1) / lanes,
                     real = shape[1] - (blocks - 1) * lanes;
  if (real == lanes) return;
  const std::int64_t area = shape.numel() / (shape[0] * shape[1]);
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    float* block = view.data + ((n + 1) * blocks - 1) * area * lanes;
    for (std::int64_t p = 0; p < area; ++p)
      std::fill(block + p * lanes + real, block + (p + 1) * lanes, 0.0f);
  }
}

}  // namespace detail
}  // namespace rung
