#pragma once

#include <cstdint>

#include "rung/analysis/analysis.h"
#include "rung/core/tensor.h"

namespace rung::analysis {

/// Sums over pairs of numbers, from which every measure of an Error follows.
struct Differences {
  std::int64_t count = 0;
  double expected = 0.0;  ///< sum of expected^2
  double actual = 0.0;    ///< sum of actual^2
  double product = 0.0;   ///< sum of expected * actual
  double noise = 0.0;     ///< sum of (expected - actual)^2

  Differences& operator+=(const Differences& other);
  double mse() const;
  Error error() const;
};

/// Compares tensors of the same shape. The same sums with any number of threads.
Differences compare(const ConstTensor& expected, const ConstTensor& actual);

/// 10 log10(signal / noise): infinity without noise.
double decibels(double signal, double noise);

}  // namespace rung::analysis
