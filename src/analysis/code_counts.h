#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "analysis/difference.h"
#include "rung/analysis/analysis.h"
#include "rung/core/tensor.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::analysis {

/// True for a number of steps within 1e-4 of the middle between two whole numbers.
inline bool is_tie(float steps) {
  constexpr double kTie = 1e-4;
  return std::abs(double{steps} - std::floor(double{steps}) - 0.5) < kTie;
}

/// Sums over numbers that were quantized to codes.
struct CodeSums {
  std::int64_t below = 0, above = 0;  ///< numbers outside the codes
  std::int64_t ties = 0;
  double clipping = 0.0, rounding = 0.0;  ///< squared errors of numbers outside and inside

  CodeSums& operator+=(const CodeSums& other);
};

/// Collects what one quantizer makes of its tensor's numbers, batch by batch.
class CodeCounts {
 public:
  /// The quantizer has a range.
  explicit CodeCounts(const QuantizerHandle& quantizer);

  void add(const ConstTensor& x);
  Error error() const { return differences_.error(); }
  double mse() const { return differences_.mse(); }
  double mean_square() const;  ///< of the numbers themselves
  /// Returns the mean squared error at another bitwidth with the same range: of a parameter as it
  /// is, else estimated: what is clipped stays, what is rounded shrinks with the square of the
  /// step.
  double mse_at(int bitwidth) const;
  /// None if the quantizer has no codes.
  std::optional<Codes> codes() const;

 private:
  void add_codes(const ConstTensor& x);

  QuantizerHandle quantizer_;
  Encoding encoding_;
  bool has_codes_;
  Differences differences_;
  CodeSums sums_;
  std::vector<std::uint8_t> used_;  // 1: the code occurs; empty: too many codes to say
};

}  // namespace rung::analysis
