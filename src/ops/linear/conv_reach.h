#pragma once

#include <cstdint>

#include "rung/graph/kernel.h"

namespace rung {

/// Bounds what a convolution computes, so that one can tell that there is no NaN without looking:
/// from how far the input reaches and how large the weights are. Only where that does not tell, the
/// input is read, which is seldom in a deep network: bounds grow tenfold to a thousandfold a layer,
/// and float32 has room for 10^30.
class ConvReach {
 public:
  /// What a forward pass reads; `bias` and `added` may be nullptr.
  struct Inputs {
    const View &x, &weights;
    const View *bias, *added;
  };

  /// Returns View::reach of the output, infinity if NaN or infinity cannot be excluded. With
  /// `looks` inputs are read if it takes that; what is found is kept in their View::reach.
  double of(const Inputs& inputs, bool looks);

 private:
  double taps_ = 0;  ///< bounds the sum of the magnitudes of an output channel's weights
  double bias_ = 0;
  std::uint64_t weights_version_ = 0, bias_version_ = 0;  ///< that these are of
};

}  // namespace rung
