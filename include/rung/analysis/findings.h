#pragma once

#include <string>
#include <vector>

#include "rung/analysis/analysis.h"
#include "rung/core/export.h"

namespace rung::analysis {

/// Something in an analysis that a person should know.
struct Finding {
  std::string subject = {};  ///< the layer or quantizer that it is about; empty: the network
  std::string text = {};     ///< what is so, and why that matters, as one sentence
  /// What may help, the likeliest first: each are options of `rung quantize`, with their values, or
  /// a command ("rung qat").
  std::vector<std::string> remedies = {};
  friend bool operator==(const Finding&, const Finding&) = default;
};

/// Returns what stands out, by these rules in their order: a network that loses more by weights
/// than by activations, or the other way round; layers that make a large part of the error;
/// a last layer of few bits; outliers; signed codes for numbers that are hardly ever negative; what
/// is concatenated with one range, though it needs different ones; channels of very different sizes
/// with one scale; much that is clipped; codes that nobody uses; dead channels; many numbers on
/// ties. Of each rule the worst come first, at most `most`.
RUNG_API std::vector<Finding> findings(const Analysis& analysis, std::size_t most = 3);

}  // namespace rung::analysis
