#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "analysis/difference.h"
#include "rung/analysis/tensor_diff.h"
#include "rung/core/tensor.h"
#include "rung/quant/encoding.h"

namespace rung::analysis {

/// Collects how two tensors differ, batch by batch.
class NumberDifferences {
 public:
  /// `grid`: on which numbers may lie; that they do is seen.
  NumberDifferences(double tolerance, std::optional<Encoding> grid)
      : tolerance_(tolerance), grid_(std::move(grid)) {}

  /// Compares tensors of one shape. `before`: what the quantizer got, or undefined.
  void add(const ConstTensor& expected, const ConstTensor& actual, const ConstTensor& before);
  /// Sets all numbers of a result.
  void put(TensorDifference& result) const;

 private:
  struct Totals {
    std::int64_t different = 0, off_grid = 0;
    double largest = 0.0, distance = 0.0;
    TensorDifference::Codes codes = {};
    TensorDifference::Ties ties = {};
    Totals& operator+=(const Totals& other);
  };
  Totals compare_piece(std::span<const float> a, std::span<const float> b,
                       std::span<const float> before, float scale) const;

  double tolerance_;
  std::optional<Encoding> grid_;
  Differences differences_;
  Totals totals_;
  bool has_before_ = false;
};

/// Returns the grid that both tensors may lie on: that of both (scales within 1e-6), or of the one
/// that has any.
std::optional<Encoding> common_grid(const std::optional<Encoding>& first,
                                    const std::optional<Encoding>& second);

}  // namespace rung::analysis
