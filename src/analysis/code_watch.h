#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/tensor.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::analysis {

/// Follows the codes of a quantized weight from step to step; see CodeHistory for what it counts.
class CodeWatch {
 public:
  static constexpr float kMomentum = 0.01f, kOscillating = 0.005f;
  static constexpr float kFrozen = 100;  ///< steps without a change

  /// True if the quantizer is one of a weight with codes that can be followed.
  static bool can_watch(const QuantizerHandle& quantizer);

  /// Looks at every n-th number of the weight, n the smallest that gives at most `max_weights`.
  CodeWatch(const QuantizerHandle& quantizer, std::int64_t max_weights);

  /// Shares of the weights that are looked at.
  struct Shares {
    double flipped = 0.0, oscillating = 0.0, frozen = 0.0;
  };
  /// Looks at the codes that the present weight and range give, once per step. Where a weight is
  /// not finite, nothing is changed.
  Shares look();

  std::int64_t weights() const { return static_cast<std::int64_t>(codes_.size()); }

  /// Returns what is remembered from step to step, [4, weights].
  Tensor state() const;
  /// Goes on from there. Throws Error that begins with `source` if it is not such a state.
  void load_state(const Tensor& state, std::string_view source);

 private:
  Shares shares(std::size_t flipped) const;

  QuantizerHandle quantizer_;
  std::size_t stride_;
  bool started_ = false;
  // Of each weight: its code, in which direction that changed last (-1, 0: never, 1), how often it
  // oscillates, and for how many steps it has not changed (kFrozen and more are one).
  std::vector<float> codes_, directions_, frequencies_, ages_;
};

}  // namespace rung::analysis
