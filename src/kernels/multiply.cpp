#include "kernels/multiply.h"

#include "kernels/vector.h"

namespace rung::kernels::RUNG_ISA {
namespace {

/// A block of kRows x kVectors accumulators, which stay in registers: every loop over them is
/// unrolled.
template <int L, int kRows, int kVectors>
[[gnu::always_inline]] inline void multiply_block(const Product& p, const float* a, const float* b,
                                                  float* c) {
  Vector<L> sums[kRows * kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      sums[r * kVectors + v] = p.adds ? Vector<L>(c + r * p.c_row + v * L) : Vector<L>(0.0f);
  for (std::int64_t k = 0; k < p.k; ++k) {
    Vector<L> right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) right[v] = Vector<L>(b + (k * kVectors + v) * L);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vector<L> left(a[r * p.a_row + k * p.a_step]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r * kVectors + v].fma(left, right[v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r * kVectors + v].store(c + r * p.c_row + v * L);
}

/// All rows of one panel: as many at once as there are registers for, then fewer.
template <int L, int kRows, int kVectors>
inline void multiply_panel(const Product& p, std::int64_t row, const float* b, float* c) {
  for (; row + kRows <= p.m; row += kRows)
    multiply_block<L, kRows, kVectors>(p, p.a + row * p.a_row, b, c + row * p.c_row);
  if constexpr (kRows > 1)
    if (row < p.m) multiply_panel<L, kRows / 2, kVectors>(p, row, b, c);
}

// See Product.
template <int L>
void multiply_lanes(const Product& p) {
  // Accumulators of the largest block: what is left of 16 or 32 registers is for both factors.
  // Fewer, if that divides the rows.
  constexpr int kSums = (Vector<L>::Register::kWidth == 16 ? 24 : 12) / Vector<L>::kCount;
  constexpr int kFewer = kSums * 2 / 3;
  const bool whole = p.m % 12 == 0;
  const auto panel = [&]<int kVectors>(std::int64_t n) {
    constexpr int kRows = kSums / kVectors < 1 ? 1 : kSums / kVectors > 12 ? 12 : kSums / kVectors;
    constexpr int kFewerRows = kFewer / kVectors < 1 ? 1 : kFewer / kVectors;
    if (whole)
      multiply_panel<L, kRows, kVectors>(p, 0, p.b + n * p.k, p.c + n);
    else
      multiply_panel<L, kFewerRows, kVectors>(p, 0, p.b + n * p.k, p.c + n);
  };
  for (std::int64_t n = 0; n < p.n; n += kPanel * L) switch ((p.n - n) / L) {
      case 1:
        panel.template operator()<1>(n);
        break;
      case 2:
        panel.template operator()<2>(n);
        break;
      case 3:
        panel.template operator()<3>(n);
        break;
      default:
        panel.template operator()<4>(n);
    }
}

}  // namespace

extern const MultiplyKernels multiply;
const MultiplyKernels multiply = {multiply_lanes<8>, multiply_lanes<16>};

}  // namespace rung::kernels::RUNG_ISA
