#include "analysis/difference.h"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/check.h"
#include "rung/core/parallel.h"

namespace rung::analysis {

double decibels(double signal, double noise) {
  if (noise == 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(signal / noise);
}

Differences& Differences::operator+=(const Differences& other) {
  count += other.count;
  expected += other.expected;
  actual += other.actual;
  product += other.product;
  noise += other.noise;
  return *this;
}

double Differences::mse() const { return count == 0 ? 0.0 : noise / static_cast<double>(count); }

Error Differences::error() const {
  Error error{.count = count, .mse = mse(), .sqnr_db = decibels(expected, noise)};
  // Of two vectors of zeros the direction is the same; of one it is none.
  if (noise != 0.0)
    error.cosine =
        expected == 0.0 || actual == 0.0 ? 0.0 : product / std::sqrt(expected) / std::sqrt(actual);
  return error;
}

namespace {

Differences compare(std::span<const float> expected, std::span<const float> actual) {
  Differences sums{.count = std::ssize(expected)};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = expected[i], b = actual[i];
    sums.expected += a * a;
    sums.actual += b * b;
    sums.product += a * b;
    sums.noise += (a - b) * (a - b);
  }
  return sums;
}

}  // namespace

Differences compare(const ConstTensor& expected, const ConstTensor& actual) {
  require(expected.shape() == actual.shape(), "analysis: cannot compare {} with {}",
          expected.shape(), actual.shape());
  constexpr std::int64_t kGrain = 1 << 14;
  const std::int64_t size = expected.numel();
  std::vector<Differences> parts(static_cast<std::size_t>((size + kGrain - 1) / kGrain));
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const auto first = static_cast<std::size_t>(begin);
    const auto length = static_cast<std::size_t>(end - begin);
    parts[first / kGrain] =
        compare(expected.data().subspan(first, length), actual.data().subspan(first, length));
  });
  Differences sums;
  for (const Differences& part : parts) sums += part;
  return sums;
}

}  // namespace rung::analysis
