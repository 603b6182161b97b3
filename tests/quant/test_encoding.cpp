#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/quant/encoding.h"
#include "rung/quant/quantizer.h"

using rung::Encoding;
using rung::Error;
using rung::Grid;
using rung::Range;
using rung::Symmetry;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Symmetry kAll[] = {Symmetry::asymmetric, Symmetry::symmetric, Symmetry::strict_symmetric,
                             Symmetry::unsigned_symmetric};

Encoding observed(Range range, int bitwidth, Symmetry symmetry) {
  const Grid grid = rung::make_grid(bitwidth, symmetry);
  return rung::encoding_from_range(rung::legal_range(range, grid, symmetry), bitwidth, symmetry);
}

}  // namespace

TEST_SUITE("quant: encoding") {
  TEST_CASE("grids have the codes that AIMET's symmetries say") {
    CHECK(rung::make_grid(8, Symmetry::asymmetric) == Grid{0, 255});
    CHECK(rung::make_grid(8, Symmetry::symmetric) == Grid{-128, 127});
    CHECK(rung::make_grid(8, Symmetry::strict_symmetric) == Grid{-127, 127});
    CHECK(rung::make_grid(8, Symmetry::unsigned_symmetric) == Grid{0, 255});
    CHECK(rung::make_grid(2, Symmetry::symmetric) == Grid{-2, 1});
    CHECK(rung::make_grid(32, Symmetry::asymmetric) == Grid{0, 4294967295});
    CHECK_THROWS_AS(rung::make_grid(1, Symmetry::symmetric), Error);
    CHECK_THROWS_AS(rung::make_grid(33, Symmetry::symmetric), Error);
  }

  TEST_CASE("names of symmetries are read as they are printed") {
    for (const Symmetry s : kAll) CHECK(rung::parse_symmetry(rung::to_string(s)) == s);
    CHECK_THROWS_AS(rung::parse_symmetry("Symmetric"), Error);
  }

  TEST_CASE("worked vectors: scale and both views of the offset") {
    struct Vector {
      Range range;
      int bitwidth;
      Symmetry symmetry;
      double scale;
      std::int64_t offset, file_offset;
      double min, max;
    };
    const Vector vectors[] = {
        {{-1, 2}, 8, Symmetry::asymmetric, 0.0117647059, -85, -85, -1, 2},
        {{-1, 2}, 8, Symmetry::symmetric, 0.0157480315, 0, -128, -2.01574803, 2},
        {{-2, 1}, 8, Symmetry::symmetric, 0.015625, 0, -128, -2, 1.984375},
        {{-1, 2}, 8, Symmetry::strict_symmetric, 0.0157480315, 0, -127, -2, 2},
        {{0, 6}, 8, Symmetry::unsigned_symmetric, 0.0235294118, 0, 0, 0, 6},
        {{0.5f, 3}, 8, Symmetry::asymmetric, 0.0117647059, 0, 0, 0, 3},
        {{-3, -1}, 8, Symmetry::asymmetric, 0.0117647059, -255, -255, -3, 0},
        {{-1, 2}, 16, Symmetry::asymmetric, 4.57770657e-05, -21845, -21845, -1, 2},
        {{0, 0}, 8, Symmetry::asymmetric, 1.1920929e-07, 0, 0, 0, 3.03983688e-05},
        {{0, 0}, 8, Symmetry::symmetric, 1.1920929e-07, 0, -128, -1.52588e-05, 1.51396e-05},
    };
    for (const Vector& v : vectors) {
      const Encoding e = observed(v.range, v.bitwidth, v.symmetry);
      CAPTURE(rung::to_string(e));
      CHECK(e.scale[0] == doctest::Approx(v.scale).epsilon(1e-6));
      CHECK(e.offset[0] == v.offset);
      CHECK(e.file_offset() == v.file_offset);
      CHECK(e.effective_range().min == doctest::Approx(v.min).epsilon(1e-6));
      CHECK(e.effective_range().max == doctest::Approx(v.max).epsilon(1e-6));
    }
  }

  TEST_CASE("zero is on every grid, whatever was observed") {
    const Range ranges[] = {{0, 0},          {5, 5},        {-5, -5},       {1e-30f, 1e-30f},
                            {-3e38f, 3e38f}, {-kInf, kInf}, {1e30f, 2e30f}, {-1e-9f, 1e9f}};
    for (const Range range : ranges)
      for (const Symmetry symmetry : kAll)
        for (const int bitwidth : {2, 3, 4, 8, 16, 19, 20, 24, 31}) {
          if (symmetry == Symmetry::unsigned_symmetric && range.min < 0) continue;
          CAPTURE(bitwidth);
          CAPTURE(range.min);
          const Encoding e = observed(range, bitwidth, symmetry);
          CHECK(-e.offset[0] >= e.grid.qmin);
          CHECK(-e.offset[0] <= e.grid.qmax);
          CHECK(std::isfinite(e.scale[0]));
          CHECK(e.scale[0] >= 0.999999f * rung::kMinimumScale);
        }
  }

  TEST_CASE("NaN and crossed ranges are errors") {
    const Grid grid = rung::make_grid(8, Symmetry::asymmetric);
    CHECK_THROWS_AS(rung::legal_range({kNan, 1}, grid, Symmetry::asymmetric), Error);
    CHECK_THROWS_AS(rung::legal_range({0, kNan}, grid, Symmetry::asymmetric), Error);
    CHECK_THROWS_AS(rung::legal_range({1, 0}, grid, Symmetry::asymmetric), Error);
    CHECK_THROWS_AS(rung::legal_learned_range({kNan, 1}, grid, Symmetry::asymmetric), Error);
    CHECK_THROWS_AS(rung::encoding_from_range(Range{0, 0}, 8, Symmetry::asymmetric), Error);
  }

  TEST_CASE("learned ranges stay legal under steps of any size, and legal ones keep their bits") {
    rung::Rng rng(7);
    for (const Symmetry symmetry : kAll) {
      rung::AffineQuantizer quantizer({.bitwidth = 4, .symmetry = symmetry});
      const Grid grid = quantizer.grid();
      std::vector<float> min{-0.5f}, max{0.75f};
      const std::vector<std::span<float>> view{min, max};
      for (int step = 0; step < 2000; ++step) {
        const double size = std::pow(10.0, rng.uniform(-8, 39));
        min[0] += static_cast<float>(size * rng.normal());
        max[0] += static_cast<float>(size * rng.normal());
        if (step % 100 == 0) max[0] = -kInf;
        if (step % 100 == 50) min[0] = kInf;
        if (std::isnan(min[0])) min[0] = 0;
        if (std::isnan(max[0])) max[0] = 0;
        quantizer.constrain(view);
        CHECK(min[0] <= 0);
        CHECK(max[0] >= 0);
        CHECK(min[0] < max[0]);
        const Range once{min[0], max[0]};
        CHECK(rung::legal_learned_range(once, grid, symmetry) == once);
        const Encoding e = rung::encoding_from_range(once, 4, symmetry);
        CHECK(-e.offset[0] >= grid.qmin);
        CHECK(-e.offset[0] <= grid.qmax);
      }
    }
  }

  TEST_CASE("unsigned_symmetric becomes symmetric once data were negative") {
    rung::AffineQuantizer quantizer({.symmetry = Symmetry::unsigned_symmetric});
    quantizer.resolve({0, 6});
    CHECK(quantizer.grid() == Grid{0, 255});
    quantizer.resolve({-1, 6});
    CHECK(quantizer.grid() == Grid{-128, 127});
    CHECK(quantizer.symmetry() == Symmetry::unsigned_symmetric);
  }
}
