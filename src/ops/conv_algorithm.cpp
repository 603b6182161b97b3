#include "ops/conv_algorithm.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace rung {

bool winograd_is_faster(ConvPass pass, const kernels::winograd::Sizes& sizes) {
  if (kernels::isa() == kernels::Isa::baseline) return false;
  const std::int64_t tiles =
      sizes.images * ((sizes.out_height() + 3) / 4) * ((sizes.out_width() + 3) / 4);
  const std::int64_t fewer = std::min(sizes.inputs, sizes.outputs);
  (void)pass;
  return fewer >= 16 && tiles >= 32;
}

}  // namespace rung
