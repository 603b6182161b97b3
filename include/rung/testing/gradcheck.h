#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/nn/loss.h"

// Checks derivatives, those of an op or a loss of one's own, against what they claim to be.

namespace rung::testing {

struct GradcheckOptions {
  double step = 1e-2;         ///< of the central difference
  double tolerance = 1e-3;    ///< of a gradient, relative to the tensor's largest (at least 1)
  std::int64_t samples = 40;  ///< elements checked of each tensor; all of smaller ones
  ExecutorOptions executor = {};
};

/// An element whose gradient is not what the difference says.
struct GradcheckMismatch {
  std::string tensor;
  std::int64_t index = 0;  ///< in row-major order
  double computed = 0, expected = 0;
};

struct RUNG_API GradcheckResult {
  std::vector<GradcheckMismatch> mismatches;
  std::int64_t compared = 0;
  bool ok() const { return mismatches.empty() && compared > 0; }
  std::string to_string() const;  ///< one line per mismatch, at most ten
};

/// Compares, in Mode::train, the gradients of every input and of every parameter that has one with
/// central differences. The loss is a random weighting of the outputs. Leaves parameters as they
/// were, but their gradients and running statistics. Functions that round or jump have no useful
/// difference. torch.autograd.gradcheck.
RUNG_API GradcheckResult gradcheck(Graph& graph, std::span<const Tensor> inputs,
                                   const GradcheckOptions& options = {});

/// Compares the gradient that a loss returns with central differences of its value.
RUNG_API GradcheckResult gradcheck(const std::function<nn::Loss(const Tensor&)>& loss,
                                   const Tensor& prediction, const GradcheckOptions& options = {});

}  // namespace rung::testing
