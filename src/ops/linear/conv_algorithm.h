#pragma once

#include <optional>

#include "backend/onednn.h"
#include "kernels/winograd/convolution.h"
#include "rung/graph/kernel.h"

namespace rung {

/// The three passes of a convolution; each has an algorithm of its own.
enum class ConvPass { forward, backward_data, backward_weights };

/// A pass that Winograd's convolution does: the sizes of the pass itself (for backward_data those
/// of the transposed convolution), and how it is cut into pieces.
struct WinogradPass {
  kernels::winograd::Sizes sizes;
  kernels::winograd::Cut cut;
};

/// Returns the pass if Winograd's convolution is to do it: as the context says or, if that leaves
/// it open, as was measured or by fixed rules, so that the same program gives the same bits. `spec`
/// must be a convolution of 3 x 3 and stride 1 in a blocked format.
std::optional<WinogradPass> choose_winograd(ConvPass pass, const backend::ConvolutionSpec& spec,
                                            const KernelContext& context);

}  // namespace rung
