#pragma once

#include <cmath>

namespace rung {

// The arithmetic of batch norm folding, in AIMET's order of float32 operations: golden encodings of
// folded weights then agree bit for bit, and folding in simulation equals folding itself.

/// Returns sigma, the divisor of a batch norm.
inline float fold_sigma(float variance, float epsilon) { return std::sqrt(variance + epsilon); }

/// Returns what folding multiplies a layer's weights by.
inline float fold_factor(float gamma, float sigma) { return gamma / sigma; }

/// Returns the bias of the folded layer.
inline float fold_bias(float bias, float beta, float mean, float factor) {
  return beta + (bias - mean) * factor;
}

}  // namespace rung
