#include "kernels/batch_norm.h"

#include "kernels/epilogue_inline.h"

// See quantize.cpp: lets selections become vector instructions.
#pragma GCC optimize("no-trapping-math")

namespace rung::kernels::RUNG_ISA {
namespace {

// Sums go into kRows x kLanes independent accumulators: enough to hide the latency of an addition,
// and short sums each, so that float is precise enough within one plane.
constexpr std::int64_t kAccumulators = 64;

// `lanes` channels lie side by side, so element i belongs to lane i % lanes; 64 is a multiple of
// every lane count, and accumulator j collects lane j % lanes.
template <typename Body>
inline __attribute__((always_inline)) void reduce(std::int64_t count, std::int64_t lanes,
                                                  const Body& body, float* sum) {
  float partial[kAccumulators] = {};
  const std::int64_t whole = count / kAccumulators * kAccumulators;
  for (std::int64_t i = 0; i < whole; i += kAccumulators)
    for (std::int64_t j = 0; j < kAccumulators; ++j) partial[j] += body(i + j, j);
  for (std::int64_t i = whole; i < count; ++i) partial[i - whole] += body(i, i - whole);
  for (std::int64_t width = kAccumulators / 2; width >= lanes; width /= 2)  // pairwise
    for (std::int64_t j = 0; j < width; ++j) partial[j] += partial[j + width];
  for (std::int64_t j = 0; j < lanes; ++j) sum[j] = partial[j];
}

template <int kLanes>
[[gnu::always_inline]] inline void repeat(const float* values, float* wide) {
  for (std::int64_t j = 0; j < kAccumulators; j += kLanes)
    for (int k = 0; k < kLanes; ++k) wide[j + k] = values[k];
}

// Repeats a per-channel vector over the accumulators' width.
void spread(const float* __restrict values, std::int64_t lanes, float* __restrict wide) {
  if (lanes == 16)
    repeat<16>(values, wide);
  else if (lanes == 8)
    repeat<8>(values, wide);
  else
    repeat<1>(values, wide);
}

void statistics(const float* x, std::int64_t area, std::int64_t lanes, float* sum, float* square) {
  const std::int64_t count = area * lanes;
  reduce(
      count, lanes, [=](std::int64_t i, std::int64_t) { return x[i]; }, sum);
  float mean[16], wide[kAccumulators];
  for (std::int64_t j = 0; j < lanes; ++j) mean[j] = sum[j] / static_cast<float>(area);
  spread(mean, lanes, wide);
  const float* center = wide;
  reduce(
      count, lanes,
      [=](std::int64_t i, std::int64_t j) {
        const float d = x[i] - center[j];
        return d * d;
      },
      square);
}

// Without an upper bound GCC makes vectors of the loop; with a second comparison it does not.
template <bool kQuantizes, bool kHasHigh>
[[gnu::always_inline]] inline void apply_loop(const float* __restrict x, float* __restrict y,
                                              std::int64_t area, std::int64_t lanes,
                                              const float* scale, const float* shift,
                                              const Epilogue& epilogue) {
  const std::int64_t count = area * lanes, whole = count / kAccumulators * kAccumulators;
  float s[kAccumulators], t[kAccumulators];
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  const Bounds bounds = bounds_of(epilogue);
  const float floor = bounds.low;
  const AffineParams p = epilogue.affine;
  const auto one = [&](std::int64_t i, std::int64_t j) {
    const float v = x[i] * s[j] + t[j];
    if constexpr (kHasHigh)
      y[i] = finish_one<kQuantizes>(v, bounds, p);
    else
      y[i] = finish_above<kQuantizes>(v, floor, p);
  };
  for (std::int64_t i = 0; i < whole; i += kAccumulators)
    for (std::int64_t j = 0; j < kAccumulators; ++j) one(i + j, j);
  for (std::int64_t i = whole; i < count; ++i) one(i, i - whole);
}

void apply(const float* x, float* y, std::int64_t area, std::int64_t lanes, const float* scale,
           const float* shift, const Epilogue& epilogue) {
  const bool has_high = epilogue.high < __builtin_inff();
  if (epilogue.quantizes && has_high)
    apply_loop<true, true>(x, y, area, lanes, scale, shift, epilogue);
  else if (epilogue.quantizes)
    apply_loop<true, false>(x, y, area, lanes, scale, shift, epilogue);
  else if (has_high)
    apply_loop<false, true>(x, y, area, lanes, scale, shift, epilogue);
  else
    apply_loop<false, false>(x, y, area, lanes, scale, shift, epilogue);
}

// Calls body(first, n, v), block by block: v = before(x * scale + shift) of n numbers. In loops
// that are simple enough for GCC to make vectors of them.
template <typename Body>
[[gnu::always_inline]] inline void for_each_block(const float* x, std::int64_t count,
                                                  std::int64_t lanes, const float* scale,
                                                  const float* shift, const Epilogue& before,
                                                  const Body& body) {
  constexpr std::int64_t kBlock = 4 * kAccumulators;
  float s[kBlock], t[kBlock], v[kBlock];
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  for (std::int64_t j = kAccumulators; j < kBlock; ++j) {
    s[j] = s[j - kAccumulators];
    t[j] = t[j - kAccumulators];
  }
  const Bounds bounds = bounds_of(before);
  const AffineParams p = before.affine;
  for (std::int64_t i = 0; i < count; i += kBlock) {
    const std::int64_t n = count - i < kBlock ? count - i : kBlock;
    if (before.quantizes)
      for (std::int64_t j = 0; j < n; ++j)
        v[j] = finish_one<true>(x[i + j] * s[j] + t[j], bounds, p);
    else
      for (std::int64_t j = 0; j < n; ++j)
        v[j] = finish_one<false>(x[i + j] * s[j] + t[j], bounds, p);
    body(i, n, v);
  }
}

void apply_add(const float* x, const float* residual, float* y, std::int64_t area,
               std::int64_t lanes, const float* scale, const float* shift, const Epilogue& before,
               const Epilogue& epilogue, Interval passes, std::uint8_t* mask) {
  for_each_block(x, area * lanes, lanes, scale, shift, before,
                 [&](std::int64_t i, std::int64_t n, float* v) {
                   for (std::int64_t j = 0; j < n; ++j) v[j] += residual[i + j];
                   const auto sum = [v](std::int64_t j) { return v[j]; };
                   std::uint8_t* bits = mask == nullptr ? mask : mask + i / 8;
                   write_epilogue(sum, y + i, n, epilogue, passes, bits);
                 });
}

AffineSums add_backward(const float* x, const float* residual, const float* dy, float* g,
                        std::int64_t area, std::int64_t lanes, const float* scale,
                        const float* shift, const Epilogue& before, const Epilogue& epilogue,
                        Interval passes, AffineSums* before_sums) {
  const Bounds bounds = bounds_of(epilogue);
  const bool learns = before_sums != nullptr && before.quantizes;
  const Epilogue apart = learns ? Epilogue{.low = before.low, .high = before.high} : before;
  SumLanes first, second;
  Slopes slopes;
  for_each_block(x, area * lanes, lanes, scale, shift, apart,
                 [&](std::int64_t i, std::int64_t n, float* v) {
                   if (learns) find_slopes(v, n, before.affine, slopes, v);
                   for (std::int64_t j = 0; j < n; ++j) v[j] += residual[i + j];
                   for (std::int64_t j = 0; j < n; ++j) {
                     const float gradient = dy[i + j];
                     g[i + j] = passes_one(v[j], passes) ? gradient : 0.0f;
                   }
                   if (learns) add_to_lanes(slopes, g + i, n, first);
                   for (std::int64_t j = 0; j < n; ++j) v[j] = clip_one(v[j], bounds);
                   find_slopes(v, n, epilogue.affine, slopes, nullptr);
                   add_to_lanes(slopes, dy + i, n, second);
                 });
  if (before_sums != nullptr) *before_sums = total(first, before.affine);
  return total(second, epilogue.affine);
}

// The gradient behind the epilogue. What was written is computed again exactly as apply() did.
inline __attribute__((always_inline)) float gate(float x, float dy, float scale, float shift,
                                                 Interval passes) {
  return passes_one(x * scale + shift, passes) ? dy : 0.0f;
}

void gradient_sums(const float* x, const float* dy, std::int64_t area, std::int64_t lanes,
                   const float* mean, const float* scale, const float* shift, Interval passes,
                   float* sum, float* product) {
  const std::int64_t count = area * lanes, whole = count / kAccumulators * kAccumulators;
  float m[kAccumulators], s[kAccumulators], t[kAccumulators];
  spread(mean, lanes, m);
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  float sums[kAccumulators] = {}, products[kAccumulators] = {};
  const auto one = [&](std::int64_t i, std::int64_t j) {
    const float g = gate(x[i], dy[i], s[j], t[j], passes);
    sums[j] += g;
    products[j] += g * (x[i] - m[j]);
  };
  for (std::int64_t i = 0; i < whole; i += kAccumulators)
    for (std::int64_t j = 0; j < kAccumulators; ++j) one(i + j, j);
  for (std::int64_t i = whole; i < count; ++i) one(i, i - whole);
  for (std::int64_t width = kAccumulators / 2; width >= lanes; width /= 2)
    for (std::int64_t j = 0; j < width; ++j) {
      sums[j] += sums[j + width];
      products[j] += products[j + width];
    }
  for (std::int64_t j = 0; j < lanes; ++j) {
    sum[j] = sums[j];
    product[j] = products[j];
  }
}

AffineSums range_sums(const float* x, const float* dy, std::int64_t area, std::int64_t lanes,
                      const float* scale, const float* shift, const Epilogue& epilogue) {
  const Bounds bounds = bounds_of(epilogue);
  const AffineParams p = epilogue.affine;
  SumLanes sums;
  for_each_block(x, area * lanes, lanes, scale, shift, Epilogue{},
                 [&](std::int64_t i, std::int64_t n, float* v) {
                   for (std::int64_t j = 0; j < n; ++j) v[j] = clip_one(v[j], bounds);
                   add_to_lanes(v, dy + i, n, p, sums);
                 });
  return total(sums, epilogue.affine);
}

void gradient(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
              std::int64_t area, std::int64_t lanes, const float* a, const float* b, const float* c,
              const float* scale, const float* shift, Interval passes) {
  const std::int64_t count = area * lanes, whole = count / kAccumulators * kAccumulators;
  float wa[kAccumulators], wb[kAccumulators], wc[kAccumulators], s[kAccumulators], t[kAccumulators];
  spread(a, lanes, wa);
  spread(b, lanes, wb);
  spread(c, lanes, wc);
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  const auto one = [&](std::int64_t i, std::int64_t j) {
    dx[i] = wa[j] * gate(x[i], dy[i], s[j], t[j], passes) + wb[j] * x[i] + wc[j];
  };
  for (std::int64_t i = 0; i < whole; i += kAccumulators)
    for (std::int64_t j = 0; j < kAccumulators; ++j) one(i + j, j);
  for (std::int64_t i = whole; i < count; ++i) one(i, i - whole);
}

}  // namespace

const BatchNormKernels batch_norm = {statistics,    apply,      apply_add, add_backward,
                                     gradient_sums, range_sums, gradient};

}  // namespace rung::kernels::RUNG_ISA
