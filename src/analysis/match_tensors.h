#pragma once

#include <cstddef>
#include <vector>

#include "rung/analysis/tensor_diff.h"

namespace rung::analysis {

/// Two tensors that belong together, by their places in both sources.
struct TensorMatch {
  std::size_t first, second;
  bool by_position = false;
};

/// Returns which tensors of two sources belong together (see TensorDiff), in network order.
std::vector<TensorMatch> match_tensors(const TensorSource& first, const TensorSource& second);

}  // namespace rung::analysis
