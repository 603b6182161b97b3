#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/quantize.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/quant/fake_quantize.h"

using rung::Encoding;
using rung::Error;
using rung::Shape;
using rung::Symmetry;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// scale 0.25, codes 0..15, zero at code 4: -1 .. 2.75.
const Encoding kFour{4, Symmetry::asymmetric, {0, 15}, {}, {0.25f}, {-4}};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

std::vector<float> through(std::vector<float> x, const Encoding& e) {
  const Shape shape{static_cast<std::int64_t>(x.size())};
  rung::quantize_dequantize(x, shape, e, x);
  return x;
}

}  // namespace

TEST_SUITE("quant: fake_quantize") {
  TEST_CASE("exact ties go to the even step, as torch.round") {
    //                               -1.5   -0.5    0.5   1.5   2.5 steps
    CHECK(through({-0.375f, -0.125f, 0.125f, 0.375f, 0.625f}, kFour) ==
          std::vector<float>{-0.5f, 0.0f, 0.0f, 0.5f, 0.5f});
  }

  TEST_CASE("both ends of the grid are kept, and one step beyond is clamped to them") {
    CHECK(through({-1.0f, 2.75f, -1.25f, 3.0f}, kFour) ==
          std::vector<float>{-1.0f, 2.75f, -1.0f, 2.75f});
    CHECK(rung::quantize(std::vector<float>{-1.0f, 2.75f, -1.25f, 3.0f, 0.0f}, kFour) ==
          std::vector<std::int32_t>{0, 15, 0, 15, 4});
  }

  TEST_CASE("the gradient passes at both ends and where rounding lands on them, not beyond") {
    // -1.125 is 4.5 steps down, a tie that lands on the end -4; 2.875 is 11.5 steps, a tie to 12.
    const std::vector<float> x{-1.0f, 2.75f, -1.25f, 3.0f, -1.125f, 2.875f, 0.1f, kNan};
    const std::vector<float> dy(x.size(), 1.0f);
    std::vector<float> dx(x.size());
    rung::quantize_dequantize_backward(x, dy, Shape{8}, kFour, dx);
    CHECK(dx == std::vector<float>{1, 1, 0, 0, 1, 0, 1, 0});
  }

  TEST_CASE("gradients of scale and offset are the surrogate's") {
    const std::vector<float> x{0.3f, 5.0f, -7.0f}, dy{2.0f, 3.0f, 4.0f};
    const auto g = rung::quantize_dequantize_backward(x, dy, Shape{3}, kFour, {});
    // inside: dy * (rint(x/s) - x/s); outside: dy * the end in steps
    CHECK(g.scale[0] ==
          doctest::Approx(2.0 * (1.0 - 0.3f / 0.25f) + 3.0 * 11 + 4.0 * -4).epsilon(1e-6));
    CHECK(g.offset[0] == doctest::Approx((3.0 + 4.0) * 0.25));
    const float min = -1.0f;
    float dmin = 0, dmax = 0;
    rung::range_gradient(g, kFour, {&min, 1}, {&dmin, 1}, {&dmax, 1});
    // offset = rint(min / scale): d offset / d min = 1 / s, d offset / d scale = -min / s^2
    const double dscale = g.scale[0] + g.offset[0] * 1.0 / (0.25 * 0.25);
    CHECK(dmax == doctest::Approx(dscale / 15));
    CHECK(dmin == doctest::Approx(g.offset[0] / 0.25 - dscale / 15));
  }

  TEST_CASE("the middle axis of a tensor can hold the channels") {
    const Encoding e{8, Symmetry::symmetric, {-128, 127}, 1, {1.0f, 0.5f, 2.0f}, {0, 0, 0}};
    std::vector<float> x(12, 0.6f), y(12);
    rung::quantize_dequantize(x, Shape{2, 3, 2}, e, y);
    CHECK(y == std::vector<float>{1, 1, 0.5f, 0.5f, 0, 0, 1, 1, 0.5f, 0.5f, 0, 0});
    CHECK_THROWS_AS(rung::quantize_dequantize(x, Shape{3, 2, 2}, e, y), Error);
    CHECK_THROWS_AS(rung::quantize(x, e), Error);
  }

  TEST_CASE("grids that float32 cannot count are computed in double") {
    const Encoding e = rung::encoding_from_range({-1.0f, 1.0f}, 24, Symmetry::symmetric);
    const std::vector<float> x{0.1f, -0.7f, 0.99f, 1.0f / 3.0f};
    const auto codes = rung::quantize(x, e);
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(codes[i] == static_cast<int>(std::nearbyint(double{x[i]} / e.scale[0])));
    const auto back = rung::dequantize(codes, e);
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(std::abs(back[i] - x[i]) <= double{e.scale[0]} * 0.51);
  }

  TEST_CASE("32 bits let everything pass, NaN has no code") {
    const Encoding e = rung::encoding_from_range({-1.0f, 1.0f}, 32, Symmetry::symmetric);
    const std::vector<float> x{3.0f, -1e30f};
    CHECK(through(x, e) == x);
    CHECK_THROWS_AS(rung::quantize(x, e), Error);
    CHECK_THROWS_AS(rung::quantize(std::vector<float>{kNan}, kFour), Error);
    CHECK(std::isnan(through({kNan}, kFour)[0]));
  }

  TEST_CASE("every instruction set gives the specification's bits, for any length") {
    const auto sets = rung::kernels::quantize_sets();
    rung::Rng rng(3);
    const Encoding encodings[] = {
        kFour,
        rung::encoding_from_range({-1.7f, 2.9f}, 8, Symmetry::asymmetric),
        rung::encoding_from_range({-1.7f, 1.7f}, 8, Symmetry::symmetric),
        rung::encoding_from_range({-1.7f, 1.7f}, 2, Symmetry::strict_symmetric),
        rung::encoding_from_range({-0.3f, 3.7f}, 19, Symmetry::asymmetric),
        rung::encoding_from_range({0.0f, 3e-5f}, 8, Symmetry::asymmetric)};
    for (const Encoding& e : encodings) {
      const rung::kernels::AffineParams params{e.scale[0], float(e.offset[0]), float(e.grid.qmin),
                                               float(e.grid.qmax)};
      for (std::int64_t n = 0; n <= 70; ++n) {
        const Shape shape{n};
        std::vector<float> x(n), dy(n), y(n), dx(n);
        for (std::int64_t i = 0; i < n; ++i) {
          const auto code = static_cast<float>(rng.below(e.grid.steps() + 9)) - 4.0f;
          switch (rng.below(8)) {  // ties, points of the grid, anything, and what breaks things
            case 0:
              x[i] = (code + float(e.grid.qmin + e.offset[0]) + 0.5f) * e.scale[0];
              break;
            case 1:
              x[i] = (code + float(e.grid.qmin + e.offset[0])) * e.scale[0];
              break;
            case 2:
              x[i] = static_cast<float>(rng.normal() * 1e30);
              break;
            case 3:
              x[i] = static_cast<float>(rng.normal() * 1e-42);
              break;
            case 4:
              x[i] = rng.bernoulli(0.2) ? kNan : -0.0f;
              break;
            default:
              x[i] = static_cast<float>(rng.normal() * 2);
          }
          if (i % 17 == 16) x[i] = std::numeric_limits<float>::infinity();
          dy[i] = static_cast<float>(rng.normal());
        }
        rung::quantize_dequantize(x, shape, e, y);
        const auto sums = rung::quantize_dequantize_backward(x, dy, shape, e, dx);
        double size = 0;
        for (std::int64_t i = 0; i < n; ++i)
          if (!std::isnan(y[i])) size += std::abs(dy[i]) * (std::abs(y[i] / e.scale[0]) + 1.0);
        std::vector<rung::kernels::AffineSums> all_sums;
        for (const auto* kernels : sets) {
          std::vector<float> y2(n), dx2(n), dx3(n);
          kernels->forward(x.data(), y2.data(), n, params);
          all_sums.push_back(kernels->backward(x.data(), dy.data(), dx2.data(), n, params,
                                               rung::kernels::passes(params)));
          kernels->backward_data(x.data(), dy.data(), dx3.data(), n, rung::kernels::passes(params));
          CHECK(same_bits(y, y2));
          CHECK(same_bits(dx, dx2));
          CHECK(same_bits(dx, dx3));
          const auto close = [&](double a, double b) {
            return (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-12 * size;
          };
          CHECK(close(all_sums.back().scale, sums.scale[0]));
          CHECK(close(all_sums.back().offset, sums.offset[0]));
          CHECK(std::bit_cast<std::uint64_t>(all_sums.back().offset) ==
                std::bit_cast<std::uint64_t>(all_sums.front().offset));
          if (!std::isnan(all_sums.front().scale))
            CHECK(all_sums.back().scale == all_sums.front().scale);
        }
      }
    }
  }

  TEST_CASE("every instruction set finds the same minimum and maximum and counts what is broken") {
    const auto sets = rung::kernels::quantize_sets();
    rung::Rng rng(5);
    for (std::int64_t n = 0; n <= 70; ++n) {
      std::vector<float> x(n);
      float min = std::numeric_limits<float>::infinity(), max = -min;
      std::int64_t bad = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        x[i] = static_cast<float>(rng.normal());
        if (rng.bernoulli(0.1)) {
          x[i] = rng.bernoulli(0.5) ? kNan : -std::numeric_limits<float>::infinity();
          ++bad;
          continue;
        }
        min = std::min(min, x[i]);
        max = std::max(max, x[i]);
      }
      for (const auto* kernels : sets) {
        const auto seen = kernels->min_max(x.data(), n);
        CHECK(seen.min == min);
        CHECK(seen.max == max);
        CHECK(seen.not_finite == bad);
      }
    }
  }
}
