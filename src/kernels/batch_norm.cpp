#include "kernels/batch_norm.h"

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

// Repeats a per-channel vector over the accumulators' width.
inline __attribute__((always_inline)) void spread(const float* values, std::int64_t lanes,
                                                  float* wide) {
  for (std::int64_t j = 0; j < kAccumulators; ++j) wide[j] = values[j % lanes];
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

void apply(const float* __restrict x, float* __restrict y, std::int64_t area, std::int64_t lanes,
           const float* scale, const float* shift, bool relu) {
  const std::int64_t count = area * lanes, whole = count / kAccumulators * kAccumulators;
  float s[kAccumulators], t[kAccumulators];
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  const float floor = relu ? 0.0f : -__builtin_inff();
  const auto one = [&](std::int64_t i, std::int64_t j) {
    const float v = x[i] * s[j] + t[j];
    y[i] = v < floor ? floor : v;
  };
  for (std::int64_t i = 0; i < whole; i += kAccumulators)
    for (std::int64_t j = 0; j < kAccumulators; ++j) one(i + j, j);
  for (std::int64_t i = whole; i < count; ++i) one(i, i - whole);
}

// The gradient behind the fused relu. The output's sign is computed exactly as apply() computed it.
inline __attribute__((always_inline)) float gate(float x, float dy, float scale, float shift,
                                                 float floor) {
  return x * scale + shift > floor ? dy : 0.0f;
}

void gradient_sums(const float* x, const float* dy, std::int64_t area, std::int64_t lanes,
                   const float* mean, const float* scale, const float* shift, bool relu, float* sum,
                   float* product) {
  const std::int64_t count = area * lanes, whole = count / kAccumulators * kAccumulators;
  float m[kAccumulators], s[kAccumulators], t[kAccumulators];
  spread(mean, lanes, m);
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  const float floor = relu ? 0.0f : -__builtin_inff();
  float sums[kAccumulators] = {}, products[kAccumulators] = {};
  const auto one = [&](std::int64_t i, std::int64_t j) {
    const float g = gate(x[i], dy[i], s[j], t[j], floor);
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

void gradient(const float* __restrict x, const float* __restrict dy, float* __restrict dx,
              std::int64_t area, std::int64_t lanes, const float* a, const float* b, const float* c,
              const float* scale, const float* shift, bool relu) {
  const std::int64_t count = area * lanes, whole = count / kAccumulators * kAccumulators;
  float wa[kAccumulators], wb[kAccumulators], wc[kAccumulators], s[kAccumulators], t[kAccumulators];
  spread(a, lanes, wa);
  spread(b, lanes, wb);
  spread(c, lanes, wc);
  spread(scale, lanes, s);
  spread(shift, lanes, t);
  const float floor = relu ? 0.0f : -__builtin_inff();
  const auto one = [&](std::int64_t i, std::int64_t j) {
    dx[i] = wa[j] * gate(x[i], dy[i], s[j], t[j], floor) + wb[j] * x[i] + wc[j];
  };
  for (std::int64_t i = 0; i < whole; i += kAccumulators)
    for (std::int64_t j = 0; j < kAccumulators; ++j) one(i + j, j);
  for (std::int64_t i = whole; i < count; ++i) one(i, i - whole);
}

}  // namespace

const BatchNormKernels batch_norm = {statistics, apply, gradient_sums, gradient};

}  // namespace rung::kernels::RUNG_ISA
