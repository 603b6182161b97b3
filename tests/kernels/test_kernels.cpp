#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/batch_norm.h"
#include "kernels/epilogue.h"
#include "kernels/histogram.h"
#include "kernels/quantize.h"
#include "rung/core/rng.h"
#include "rung/quant/fake_quantize.h"

// Loops of every instruction set of this machine against naive ones, for any length.

using namespace rung;

namespace {

std::vector<float> normal(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& each : x) each = static_cast<float>(rng.normal());
  return x;
}

Encoding encoding_of(const kernels::AffineParams& p) {
  Encoding encoding = encoding_from_range({-1.0f, 1.0f}, 4, Symmetry::asymmetric);
  encoding.scale = {p.scale};
  encoding.offset = {static_cast<std::int64_t>(p.offset)};
  encoding.grid = {static_cast<std::int64_t>(p.qmin), static_cast<std::int64_t>(p.qmax)};
  return encoding;
}

const std::vector<kernels::Epilogue> kEpilogues = {
    {},
    {.low = 0.0f},
    {.low = 0.0f, .high = 1.0f},
    {.high = 0.5f},
    {.quantizes = true, .affine = {0.25f, -4.0f, 0.0f, 15.0f}},
    {.low = 0.0f, .quantizes = true, .affine = {0.125f, 0.0f, 0.0f, 15.0f}},
    {.low = 0.0f, .high = 1.0f, .quantizes = true, .affine = {0.125f, 0.0f, 0.0f, 15.0f}},
    {.low = 0.0f, .quantizes = true, .affine = {0.3f, 0.0f, -2.0f, 1.0f}},
};

void clip(std::vector<float>& v, const kernels::Epilogue& epilogue) {
  for (float& each : v) {
    if (each < epilogue.low) each = epilogue.low;
    if (each > epilogue.high) each = epilogue.high;
  }
}

/// v, clipped, then the specification.
std::vector<float> finished(std::vector<float> v, const kernels::Epilogue& epilogue) {
  clip(v, epilogue);
  if (!epilogue.quantizes) return v;
  std::vector<float> y(v.size());
  quantize_dequantize(v, Shape{std::ssize(v)}, encoding_of(epilogue.affine), y);
  return y;
}

/// The gradient through both, and the sums of scale and offset.
EncodingGradient gradient(const std::vector<float>& v, const std::vector<float>& dy,
                          const kernels::Epilogue& epilogue, std::vector<float>& dx) {
  std::vector<float> u = v;
  EncodingGradient sums;
  dx = dy;
  clip(u, epilogue);
  if (epilogue.quantizes)
    sums =
        quantize_dequantize_backward(u, dy, Shape{std::ssize(v)}, encoding_of(epilogue.affine), dx);
  for (std::size_t i = 0; epilogue.clips() && i < v.size(); ++i)
    if (!(v[i] > epilogue.low && v[i] < epilogue.high)) dx[i] = 0.0f;
  return sums;
}

}  // namespace

TEST_SUITE_BEGIN("kernels");

TEST_CASE("the interval whose gradient passes ends exactly where codes leave the grid") {
  for (const kernels::AffineParams& p : {kernels::AffineParams{0.25f, -4.0f, 0.0f, 15.0f},
                                         {0.1f, 0.0f, -8.0f, 7.0f},
                                         {3e-7f, -100.0f, 0.0f, 255.0f},
                                         {1e30f, 0.0f, 0.0f, 3.0f}}) {
    const kernels::Interval passes = kernels::passes(p);
    const float up = std::numeric_limits<float>::infinity();
    const std::vector<float> x{passes.low, std::nextafter(passes.low, up), passes.high,
                               std::nextafter(passes.high, up)};
    const std::vector<float> dy(x.size(), 1.0f);
    std::vector<float> dx(x.size());
    quantize_dequantize_backward(x, dy, Shape{std::ssize(x)}, encoding_of(p), dx);
    CHECK(dx == std::vector<float>{0.0f, 1.0f, 1.0f, 0.0f});
  }
}

TEST_CASE("epilogues: every instruction set writes the specification's bits and masks") {
  for (const auto* k : kernels::epilogue_sets())
    for (const kernels::Epilogue& epilogue : kEpilogues)
      for (std::int64_t n = 0; n <= 70; ++n) {
        const kernels::Interval passes = kernels::passes(epilogue);
        std::vector<float> a = normal(n, 1), sum = normal(n, 1), dx;
        const std::vector<float> b = normal(n, 2), dy = normal(n, 3);
        if (n > 3) a[3] = std::numeric_limits<float>::quiet_NaN();
        if (n > 5) a[5] = -b[5];
        for (std::int64_t i = 0; i < n; ++i) sum[i] = a[i] + b[i];
        const std::vector<float> expected = finished(sum, epilogue);
        const EncodingGradient sums = gradient(sum, dy, epilogue, dx);
        const auto same = [](const std::vector<float>& x, const std::vector<float>& y) {
          return std::ranges::equal(
              x, y, [](float p, float q) { return p == q || (std::isnan(p) && std::isnan(q)); });
        };
        std::vector<float> y(a.size()), y2(a.size()), dx1(a.size()), dx2(a.size()), dx3(a.size());
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(kernels::mask_bytes(n)) + 1, 0xaa),
            mask2 = mask;
        k->add(a.data(), b.data(), y.data(), n, epilogue, passes, mask.data());
        k->add(a.data(), b.data(), y2.data(), n, epilogue, passes, nullptr);
        CHECK(same(y, expected));
        CHECK(same(y2, expected));
        y = sum;
        k->finish(y.data(), y.data(), n, epilogue, passes, mask2.data());
        CHECK(same(y, expected));
        CHECK(mask == mask2);
        CHECK(mask.back() == 0xaa);  // nothing is written behind it
        k->masked(dy.data(), mask.data(), dx1.data(), n);
        if (n <= 3 || epilogue.clips() || epilogue.quantizes) CHECK(same(dx1, dx));
        if (!epilogue.quantizes) continue;
        const kernels::AffineSums learned =
            k->add_backward(a.data(), b.data(), dy.data(), dx2.data(), n, epilogue, passes);
        CHECK(same(dx2, dx));
        if (n > 3) continue;  // NaN: no sums
        CHECK(learned.scale == doctest::Approx(sums.scale[0]).epsilon(1e-9));
        CHECK(learned.offset == doctest::Approx(sums.offset[0]).epsilon(1e-9));
      }
}

TEST_CASE("what a quantizer wrote comes back from bytes") {
  for (const auto* k : kernels::quantize_sets())
    for (const kernels::AffineParams p : {kernels::AffineParams{0.013f, -100.0f, 0.0f, 255.0f},
                                          {0.007f, 0.0f, -128.0f, 127.0f},
                                          {0.02f, 0.0f, 0.0f, 255.0f},
                                          {0.3f, -1.0f, 0.0f, 3.0f},
                                          {1e-6f, -255.0f, 0.0f, 255.0f}})
      for (std::int64_t n = 0; n <= 70; ++n) {
        const std::vector<float> x = normal(n, 4);
        std::vector<float> y(x.size()), back(x.size());
        std::vector<std::uint8_t> codes(x.size() + 1, 0xaa);
        k->forward(x.data(), y.data(), n, p);
        k->pack(y.data(), codes.data(), n, p);
        k->unpack(codes.data(), back.data(), n, p);
        CHECK(y == back);
        CHECK(codes.back() == 0xaa);
      }
}

TEST_CASE("batch norm: range sums are those of the specification") {
  for (const auto* k : kernels::batch_norm_sets())
    for (const std::int64_t lanes : {1, 8, 16})
      for (const std::int64_t area : {1, 3, 49, 100, 1024}) {
        const kernels::Epilogue epilogue{
            .low = 0.0f, .quantizes = true, .affine = {0.125f, 0.0f, 0.0f, 15.0f}};
        const std::vector<float> x = normal(area * lanes, 4), dy = normal(area * lanes, 5);
        const std::vector<float> scale = normal(lanes, 6), shift = normal(lanes, 7);
        std::vector<float> v(x.size()), dx;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t c = i % static_cast<std::size_t>(lanes);
          v[i] = x[i] * scale[c] + shift[c];
        }
        const EncodingGradient sums = gradient(v, dy, epilogue, dx);
        const kernels::AffineSums learned =
            k->range_sums(x.data(), dy.data(), area, lanes, scale.data(), shift.data(), epilogue);
        CHECK(learned.scale == doctest::Approx(sums.scale[0]).epsilon(1e-9));
        CHECK(learned.offset == doctest::Approx(sums.offset[0]).epsilon(1e-9));
      }
}

TEST_CASE("histograms: every instruction set counts and weighs alike") {
  const std::vector<float> x = normal(20000, 8);
  const auto [low, high] = std::ranges::minmax(x);
  const kernels::Bins bins{low, high - low, 2048.0f};
  for (const std::int64_t n : {0, 1, 300, 20000}) {
    std::vector<std::uint32_t> expected(2048, 1);
    for (std::int64_t i = 0; i < n; ++i)
      ++expected[static_cast<std::size_t>(
          std::min((x[i] - low) * 2048.0f / (high - low), 2047.0f))];
    for (const auto* k : kernels::histogram_sets()) {
      std::vector<std::uint32_t> counts(2048, 1);
      k->count(x.data(), n, bins, counts.data());
      CHECK(counts == expected);
    }
  }
  const std::vector<float> counts(64, 3.0f);
  const float scale = 0.25f, offset = -5.0f, steps = 15.0f;
  double expected = 0;
  for (int i = 0; i < 64; ++i) {
    const float q = std::nearbyint(x[i] / scale - offset), inside = std::clamp(q, 0.0f, steps);
    const double error = (inside + offset) * scale - x[i];
    expected += error * error * 3.0 * (inside == q ? 1.0 : 2.5);
  }
  std::vector<double> noises;
  for (const auto* k : kernels::histogram_sets())
    noises.push_back(k->noise(x.data(), counts.data(), 64, scale, offset, steps, 2.5f));
  CHECK(noises.front() == doctest::Approx(expected).epsilon(1e-5));
  CHECK(std::ranges::adjacent_find(noises, std::not_equal_to()) == noises.end());
}

TEST_SUITE_END();
