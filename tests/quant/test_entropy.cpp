#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "quant/histogram.h"
#include "rung/core/rng.h"
#include "rung/quant/registry.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

std::vector<float> normal_numbers(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& each : x) each = static_cast<float>(rng.normal());
  return x;
}

/// The divergence of quantizing a histogram with an encoding, by the definition: P and Q are
/// written out, one number per bin, and normalized.
double naive_divergence(std::vector<double> counts, const std::vector<double>& centres,
                        const Encoding& encoding) {
  const auto low = static_cast<double>(encoding.grid.qmin + encoding.offset[0]);
  const auto high = static_cast<double>(encoding.grid.qmax + encoding.offset[0]);
  const std::size_t n = counts.size();
  std::vector<double> step(n), p(n, 0.0), q(n, 0.0);
  for (std::size_t i = 0; i < n; ++i)
    step[i] = std::nearbyint(centres[i] / double{encoding.scale[0]});
  std::size_t first = n, last = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (counts[i] > 0 && low <= step[i] && step[i] <= high) {
      first = std::min(first, i);
      last = i;
    }
  if (first == n) return std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < n; ++i) p[std::clamp(i, first, last)] += counts[i];
  for (std::size_t i = first; i <= last; ++i) {
    if (counts[i] == 0) continue;
    double sum = 0, filled = 0;
    for (std::size_t j = first; j <= last; ++j)
      if (step[j] == step[i] && counts[j] > 0) {
        sum += counts[j];
        filled += 1;
      }
    q[i] = sum / filled;
  }
  double p_sum = 0, q_sum = 0, divergence = 0;
  for (std::size_t i = 0; i < n; ++i) {
    p_sum += p[i];
    q_sum += q[i];
  }
  for (std::size_t i = 0; i < n; ++i)
    if (p[i] > 0) divergence += p[i] / p_sum * std::log(p[i] / p_sum / (q[i] / q_sum));
  return divergence;
}

/// Looks through all thresholds; writes down the least divergence.
Range naive_estimate(const std::vector<float>& x, int bitwidth, Symmetry symmetry, double& least) {
  Histogram histogram;
  const auto [min, max] = std::ranges::minmax(x);
  histogram.begin_batch({min, max});
  histogram.accumulate(x);
  std::vector<double> counts = histogram.counts(), centres;
  for (std::int64_t i = 0; i < Histogram::kBins; ++i) centres.push_back(histogram.centre(i));
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto bin = static_cast<std::int64_t>(i);
    if (histogram.edge(bin) > 0 || histogram.edge(bin + 1) <= 0) continue;
    const double beside =
        std::max(i > 0 ? counts[i - 1] : 0.0, i + 1 < counts.size() ? counts[i + 1] : 0.0);
    counts[i] = std::min(counts[i], beside);
  }
  const Grid grid = make_grid(bitwidth, symmetry);
  const double size = std::max(std::abs(double{min}), std::abs(double{max}));
  const double bin = (double{max} - double{min}) / 2048;
  Range best;
  least = std::numeric_limits<double>::infinity();
  for (int k = 256; k > 0; --k) {
    const auto at = static_cast<float>(size * k / 256);
    const Range range{std::max(std::min(min, 0.0f), -at), std::min(std::max(max, 0.0f), at)};
    if (k < 256 && double{range.max} - double{range.min} < bin * double(grid.steps() + 1)) break;
    const Range legal = legal_range(range, grid, symmetry);
    const double cost =
        naive_divergence(counts, centres, encoding_from_range(legal, bitwidth, symmetry));
    if (cost < least) {
      least = cost;
      best = legal;
    }
  }
  return best;
}

Range estimate(const std::vector<float>& x, int bitwidth, Symmetry symmetry) {
  const auto estimator = make_range_estimator("entropy");
  observe(*estimator, x);
  return estimator->estimate(make_grid(bitwidth, symmetry), symmetry);
}

}  // namespace

TEST_SUITE("quant: entropy range estimator") {
  TEST_CASE("it finds the range with the least divergence of all thresholds") {
    std::vector<std::vector<float>> data = {normal_numbers(4000, 1), normal_numbers(300, 2)};
    std::vector<float> relu = normal_numbers(4000, 3), skewed = normal_numbers(4000, 4);
    for (float& each : relu) each = std::max(each, 0.0f);
    for (float& each : skewed) each = std::exp(each) - 0.3f;
    data.push_back(relu);
    data.push_back(skewed);
    for (const std::vector<float>& x : data)
      for (const int bitwidth : {2, 4, 6})
        for (const Symmetry symmetry : {Symmetry::asymmetric, Symmetry::symmetric}) {
          CAPTURE(bitwidth);
          double least = 0;
          const Range wanted = naive_estimate(x, bitwidth, symmetry, least);
          const Range got = estimate(x, bitwidth, symmetry);
          CHECK(got.min == wanted.min);
          CHECK(got.max == wanted.max);
        }
  }

  TEST_CASE("by hand: what codes can tell apart loses nothing, and outliers cost too much") {
    // 2 bits over 0 .. 1 have the codes of 0, 1/3, 2/3 and 1: each number has its own.
    std::vector<float> apart(300, 0.6f);
    std::fill(apart.begin() + 100, apart.begin() + 200, 1.0f);
    std::fill(apart.begin() + 200, apart.end(), 0.3f);
    const Range whole = estimate(apart, 2, Symmetry::asymmetric);
    CHECK(whole.min == 0.0f);
    CHECK(whole.max == doctest::Approx(1.0).epsilon(1e-6));
    const Range one = estimate({3.0f, 3.0f}, 4, Symmetry::asymmetric);
    CHECK(one.min == 0.0f);
    CHECK(one.max == doctest::Approx(3.0).epsilon(1e-6));

    std::vector<float> x = normal_numbers(20000, 5);
    x.push_back(40.0f);
    const Range seen = estimate(x, 4, Symmetry::symmetric);
    CHECK(seen.max > 1.5f);
    CHECK(seen.max < 6.0f);
  }

  TEST_CASE("zeros behind a Relu do not narrow the range") {
    std::vector<float> x = normal_numbers(20000, 6);
    for (float& each : x) each = std::abs(each);
    const Range without = estimate(x, 4, Symmetry::asymmetric);
    x.insert(x.end(), 60000, 0.0f);
    const Range with = estimate(x, 4, Symmetry::asymmetric);
    CHECK(with.max == doctest::Approx(without.max).epsilon(0.1));
  }

  TEST_CASE("a scheme chooses it by name, and its state goes on where it was") {
    const QuantScheme scheme{.estimator = "entropy"};
    CHECK(to_string(scheme) == "entropy:affine:fixed");
    CHECK(parse_quant_scheme("entropy:affine:fixed") == scheme);
    QuantizationSimModel sim(small_net(), {.quant_scheme = scheme});
    QuantizationSimModel again(small_net(), {.quant_scheme = scheme});
    std::string state;
    sim.compute_encodings([&](Executor& executor) {
      executor.forward(random_tensor({4, 2, 6, 6}, 1));
      state = calibration_state(sim);
      executor.forward(random_tensor({4, 2, 6, 6}, 2));
    });
    again.compute_encodings([&](Executor& executor) {
      load_calibration_state(again, state);
      executor.forward(random_tensor({4, 2, 6, 6}, 2));
    });
    CHECK(fingerprint_encodings(again) == fingerprint_encodings(sim));
    CHECK(sim.quantizer("relu1").op().estimator().name() == "entropy");
  }
}
