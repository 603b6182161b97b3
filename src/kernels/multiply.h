#pragma once

#include <cstdint>

#include "kernels/dispatch.h"

namespace rung::kernels {

/// The widest panel of a product's right side, in vectors of 8 or 16 floats.
constexpr int kPanel = 4;

/// A matrix product of one thread: writes c [m, n] = a [m, k] b [k, n], or adds it to c. n is a
/// multiple of the vector; b is in panels of up to kPanel vectors, each [k, width].
struct Product {
  std::int64_t m, n, k;
  const float* a;
  std::int64_t a_row, a_step;  ///< floats from one row to the next, and from one k to the next
  const float* b;
  float* c;
  std::int64_t c_row;
  bool adds;
};

/// For vectors of 8 and of 16 floats. Each sum is made in the order of k, whatever m and n.
struct MultiplyKernels {
  void (*lanes8)(const Product& product);
  void (*lanes16)(const Product& product);
};
RUNG_DECLARE_KERNELS(MultiplyKernels, multiply);

}  // namespace rung::kernels
