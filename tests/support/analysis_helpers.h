#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "doctest/doctest.h"
#include "support/quantsim_net.h"

// What the tests of the analysis have in common.

namespace rung::test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Data for small_net(), in batches of two sizes.
inline const std::vector<Tensor>& batches() {
  static const std::vector<Tensor> all = {random_tensor({4, 2, 6, 6}, 3),
                                          random_tensor({3, 2, 6, 6}, 4)};
  return all;
}

/// The formula, one number after the other.
inline double sqnr_db(const std::vector<float>& expected, const std::vector<float>& actual) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    signal += double{expected[i]} * expected[i];
    noise += (double{expected[i]} - actual[i]) * (double{expected[i]} - actual[i]);
  }
  return noise == 0 ? kInfinity : 10 * std::log10(signal / noise);
}

inline void check_close(double a, double b) {
  CHECK((a == b || std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b))));
}

}  // namespace rung::test
