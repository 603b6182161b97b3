#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "quant/histogram.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/quant/range_estimator.h"
#include "rung/quant/registry.h"

using rung::Error;
using rung::Range;
using rung::Symmetry;

namespace {

std::vector<float> normal(std::size_t n, std::uint64_t seed, double size = 1.0) {
  rung::Rng rng(seed);
  std::vector<float> x(n);
  for (float& each : x) each = static_cast<float>(size * rng.normal());
  return x;
}

std::vector<std::unique_ptr<rung::RangeEstimator>> all() {
  std::vector<std::unique_ptr<rung::RangeEstimator>> list;
  list.push_back(rung::make_min_max());
  list.push_back(rung::make_sqnr());
  list.push_back(rung::make_percentile(99.0));
  list.push_back(rung::make_tf_enhanced());
  return list;
}

const rung::Grid kGrid = rung::make_grid(8, Symmetry::asymmetric);

}  // namespace

TEST_SUITE("quant: range estimators") {
  TEST_CASE("how a batch is cut into chunks does not matter") {
    const auto x = normal(5000, 1);
    for (const auto& prototype : all()) {
      const auto whole = prototype->clone(), parts = prototype->clone();
      rung::observe(*whole, x);
      parts->begin_batch(whole->observed(), 5000);
      for (std::size_t i = 5000; i > 0;) {  // from the end
        const std::size_t n = std::min<std::size_t>(i, 1 + i % 97);
        i -= n;
        parts->accumulate(std::span(x).subspan(i, n));
      }
      parts->end_batch();
      CHECK(whole->estimate(kGrid, Symmetry::asymmetric) ==
            parts->estimate(kGrid, Symmetry::asymmetric));
    }
  }

  TEST_CASE("NaN and infinity are counted in an error, and nothing is seen then") {
    std::vector<float> x = normal(100, 2);
    x[3] = std::numeric_limits<float>::quiet_NaN();
    x[99] = std::numeric_limits<float>::infinity();
    for (const auto& estimator : all()) {
      try {
        rung::observe(*estimator, x);
        FAIL("no error");
      } catch (const Error& error) {
        CHECK(std::string(error.what()).find("2 of 100") != std::string::npos);
      }
      CHECK(estimator->count() == 0);
      CHECK_THROWS_AS(estimator->estimate(kGrid, Symmetry::asymmetric), Error);
      CHECK_THROWS_AS(estimator->observed(), Error);
    }
  }

  TEST_CASE("a constant first batch keeps its counts when the range grows") {
    for (const float constant : {0.0f, 3.0f, -1e9f}) {
      rung::Histogram histogram;
      histogram.begin_batch({constant, constant});
      histogram.accumulate(std::vector<float>(100, constant));
      histogram.begin_batch({constant - 1000.0f, constant + 1000.0f});
      histogram.accumulate(std::vector<float>{constant - 1000.0f, constant + 1000.0f});
      CHECK(histogram.total() == 102.0);
      double near = 0.0;
      for (std::int64_t i = 0; i < rung::Histogram::kBins; ++i)
        if (std::abs(histogram.centre(i) - constant) <= 2.0f) near += histogram.counts()[i];
      if (std::abs(constant) < 1e6f) CHECK(near == 100.0);
    }
    for (const auto& estimator : all()) {
      rung::observe(*estimator, std::vector<float>(50, 0.0f));
      const Range range = estimator->estimate(kGrid, Symmetry::asymmetric);
      CHECK(range.min <= 0.0f);
      CHECK(range.max > 0.0f);
      rung::observe(*estimator, normal(5000, 3));
      const Range grown = estimator->estimate(kGrid, Symmetry::asymmetric);
      CHECK(std::isfinite(grown.min));
      CHECK(grown.max - grown.min > 1.0f);
    }
  }

  TEST_CASE("growing neither loses nor invents numbers, nor does a limit") {
    for (rung::Histogram histogram : {rung::Histogram(), rung::Histogram::limited()}) {
      double size = 1e-3, count = 0.0;
      for (int batch = 0; batch < 30; ++batch, size *= 1.5) {
        const auto x = normal(777, 10 + batch, size);
        const auto [min, max] = std::minmax_element(x.begin(), x.end());
        histogram.begin_batch({*min, *max});
        histogram.accumulate(x);
        CHECK(histogram.total() == (count += 777.0));
      }
    }
  }

  TEST_CASE("a limited histogram stays within 1.5 widths of its first batch at either end") {
    rung::Histogram histogram = rung::Histogram::limited();
    histogram.begin_batch({-1.0f, 3.0f});
    histogram.accumulate(std::vector<float>{-1.0f, 0.0f, 3.0f});
    histogram.begin_batch({-50.0f, 5.0f});
    histogram.accumulate(std::vector<float>{-50.0f, -40.0f, 5.0f});
    CHECK(histogram.bins() == 512);
    CHECK(histogram.range() == Range{-7.0f, 5.0f});
    CHECK(histogram.counts().front() == 2.0);
    CHECK(histogram.counts().back() == 1.0);
    histogram.begin_batch({0.0f, 1e30f});
    histogram.accumulate(std::vector<float>{0.0f, 1e30f});
    CHECK(histogram.range() == Range{-7.0f, 9.0f});
    CHECK(histogram.total() == 8.0);
    // Another one may lie beyond.
    rung::Histogram other = rung::Histogram::limited();
    other.begin_batch({100.0f, 200.0f});
    other.accumulate(std::vector<float>{100.0f, 150.0f, 200.0f});
    histogram.merge(other);
    CHECK(histogram.range() == Range{-7.0f, 9.0f});
    CHECK(histogram.total() == 11.0);
    CHECK_THROWS_AS(histogram.merge(rung::Histogram()), Error);
  }

  TEST_CASE("merging two estimators sees what both have seen") {
    const auto a = normal(3000, 4), b = normal(3000, 5, 2.0);
    for (const auto& prototype : all()) {
      const auto both = prototype->clone(), left = prototype->clone(), right = prototype->clone();
      rung::observe(*both, a);
      rung::observe(*both, b);
      rung::observe(*left, a);
      rung::observe(*right, b);
      left->merge(*right);
      left->merge(*prototype);  // which has seen nothing
      CHECK(left->count() == 6000);
      CHECK(left->observed() == both->observed());
      const Range x = left->estimate(kGrid, Symmetry::symmetric);
      const Range y = both->estimate(kGrid, Symmetry::symmetric);
      CHECK(x.max == doctest::Approx(y.max).epsilon(0.02));
    }
  }

  TEST_CASE("state is what an estimator has seen") {
    for (const auto& estimator : all()) {
      const auto restored = estimator->clone();
      rung::observe(*estimator, normal(1000, 6));
      restored->load_state(estimator->state());
      CHECK(restored->count() == 1000);
      CHECK(restored->estimate(kGrid, Symmetry::asymmetric) ==
            estimator->estimate(kGrid, Symmetry::asymmetric));
      estimator->reset();
      CHECK(estimator->count() == 0);
      CHECK_THROWS_AS(restored->load_state(std::vector<double>(5)), Error);
    }
  }

  TEST_CASE("a state that no data can have left is refused and changes nothing") {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    for (const auto& estimator : all()) {
      rung::observe(*estimator, normal(1000, 6));
      const std::vector<double> good = estimator->state();
      const auto refuses = [&](std::size_t place, double number) {
        CAPTURE(place);
        CAPTURE(number);
        std::vector<double> bad = good;
        bad[place] = number;
        CHECK_THROWS_AS(estimator->load_state(bad), Error);
        CHECK(estimator->state() == good);
      };
      for (const double limit : {kNan, 1e308, -1e308}) {
        refuses(0, limit);
        refuses(1, limit);
      }
      refuses(0, 1e5);  // above the maximum
      for (const double count : {kNan, -1.0, 0.5, 1e300}) refuses(good.size() - 1, count);
      if (good.size() == 3) continue;
      for (const double count : {kNan, -1.0, 1e300}) refuses(2, count);
      std::vector<double> nothing = good;
      std::fill(nothing.begin() + 2, nothing.end() - 1, 0.0);
      CHECK_THROWS_AS(estimator->load_state(nothing), Error);
    }
  }

  TEST_CASE("sqnr clips outliers, percentile cuts what it says, min_max keeps all") {
    auto x = normal(20000, 8);
    x[0] = 50.0f;
    const auto estimators = all();
    std::vector<Range> ranges;
    const rung::Grid four = rung::make_grid(4, Symmetry::asymmetric);
    for (const auto& estimator : estimators) {
      rung::observe(*estimator, x);
      ranges.push_back(estimator->estimate(four, Symmetry::asymmetric));
    }
    CHECK(ranges[0].max == 50.0f);
    CHECK(ranges[1].max < 20.0f);
    CHECK(ranges[2].max == doctest::Approx(2.326).epsilon(0.05));
    CHECK(ranges[2].min == doctest::Approx(-2.326).epsilon(0.05));
  }

  TEST_CASE("sqnr searches strict and unsigned grids on their own terms") {
    std::vector<float> x = normal(4000, 9);
    const auto strict = rung::make_sqnr(), positive = rung::make_sqnr();
    rung::observe(*strict, x);
    const Range s = strict->estimate(rung::make_grid(8, Symmetry::strict_symmetric),
                                     Symmetry::strict_symmetric);
    CHECK(s.min == doctest::Approx(-s.max).epsilon(1e-6));
    for (float& each : x) each = std::abs(each);
    rung::observe(*positive, x);
    const Range u = positive->estimate(rung::make_grid(8, Symmetry::unsigned_symmetric),
                                       Symmetry::unsigned_symmetric);
    CHECK(u.min == 0.0f);
    CHECK(u.max > 2.0f);
    CHECK(u.max <= 1.02f * positive->observed().max);
  }

  TEST_CASE("wrong names and percentiles are errors that say what is right") {
    CHECK_THROWS_AS(rung::make_range_estimator("minmax"), Error);
    CHECK_THROWS_AS(rung::make_percentile(50.0), Error);
    CHECK_THROWS_AS(rung::make_percentile(100.1), Error);
    CHECK(rung::to_string(*rung::make_percentile(99.9)) == "percentile {percentile=99.9}");
  }
}
