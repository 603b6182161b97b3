#pragma once

#include <memory>

#include "rung/graph/kernel.h"

namespace rung {

/// Makes a kernel of y = sum of x * w + bias that computes with codes. Each output
/// channel c becomes
///
///   y = float(sum of whole numbers) * float(s_x * s_w[c]) + bias[c], then clipped if that is fused
///
/// which is the same on every machine. The sums are exact while no channel's sum of |w| * largest
/// |x| reaches 2^24. Where it would, the input channels are cut into parts (kMaxParts at most) that
/// are added up in double; beyond that, as with 16-bit weights and activations, sums are rounded.
/// As long as nothing quantizes x it computes what `op` does with real numbers. Serves Conv and
/// Gemm: `op` is the one that was asked to compile `context`.
std::unique_ptr<Kernel> exact_kernel(const KernelContext& context, const Op& op);

}  // namespace rung
