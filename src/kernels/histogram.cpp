#include "kernels/histogram.h"

#include "kernels/affine.h"

// See quantize.cpp: lets selections become vector instructions.
#pragma GCC optimize("no-trapping-math")

namespace rung::kernels::RUNG_ISA {
namespace {

constexpr int kGroup = 256, kTables = 4, kMostBins = 2048, kLanes = 16;

// The order of operations of torch.histc. Four tables, because many numbers in a row are often in
// the same bin (Relu's zeros), and each addition would wait for the one before.
void count(const float* x, std::int64_t n, const Bins& bins, std::uint32_t* counts) {
  std::uint32_t more[kTables - 1][kMostBins];
  const int used = static_cast<int>(bins.count);
  std::uint32_t* tables[kTables] = {counts, counts, counts, counts};
  const bool worth_it = n > kTables * used;
  for (int t = 0; worth_it && t < kTables - 1; ++t) {
    tables[t + 1] = more[t];
    for (int b = 0; b < used; ++b) more[t][b] = 0;
  }
  std::int32_t bin[kGroup];
  const float min = bins.min, width = bins.width, total = bins.count, last = bins.count - 1.0f;
  for (std::int64_t begin = 0; begin < n; begin += kGroup) {
    const std::int64_t here = n - begin < kGroup ? n - begin : kGroup;
    for (std::int64_t i = 0; i < here; ++i) {
      const float position = (x[begin + i] - min) * total / width;
      const float below_end = position < last ? position : last;
      bin[i] = static_cast<std::int32_t>(below_end > 0 ? below_end : 0.0f);
    }
    std::int64_t i = 0;
    for (; i + kTables <= here; i += kTables)
      for (int t = 0; t < kTables; ++t) ++tables[t][bin[i + t]];
    for (; i < here; ++i) ++tables[0][bin[i]];
  }
  for (int b = 0; worth_it && b < used; ++b) counts[b] += more[0][b] + more[1][b] + more[2][b];
}

double noise(const float* numbers, const float* counts, std::int64_t n, float scale, float offset,
             float steps, float gamma) {
  const float beyond = steps + 1.0f;  // one code beyond the end is enough to know what is clipped
  double lanes[kLanes] = {};
  for (std::int64_t i = 0; i < n; i += kLanes) {
    float errors[kLanes];
    for (int j = 0; j < kLanes; ++j) {
      const float x = numbers[i + j];
      float q = x / scale - offset;
      q = -1.0f > q ? -1.0f : q;
      q = affine_round(beyond < q ? beyond : q);
      float inside = 0.0f > q ? 0.0f : q;
      inside = steps < inside ? steps : inside;
      const float weight = inside == q ? 1.0f : gamma;
      const float error = (inside + offset) * scale - x;
      errors[j] = error * error * counts[i + j] * weight;
    }
    for (int j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(errors[j]);
  }
  double sum = 0.0;
  for (int j = 0; j < kLanes; ++j) sum += lanes[j];
  return sum;
}

}  // namespace

extern const HistogramKernels histogram;
const HistogramKernels histogram = {count, noise};

}  // namespace rung::kernels::RUNG_ISA
