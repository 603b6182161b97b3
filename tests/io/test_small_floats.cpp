// Numbers of 16 bits, all of them.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "io/tensors/dtype.h"

using namespace rung::io;

namespace {

constexpr std::uint32_t kCodes = 1 << 16, kSign = 1 << 15;

/// A type of 16 bits, the first of which is the sign.
struct Format {
  Dtype dtype;
  int exponent_bits, mantissa_bits;

  std::uint32_t infinity() const { return ((1u << exponent_bits) - 1) << mantissa_bits; }

  /// Returns what a code without sign means, which is finite, or would be if the type went on.
  double value(std::uint32_t code) const {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const auto exponent = static_cast<int>(code >> mantissa_bits);
    const double mantissa = code & ((1u << mantissa_bits) - 1);
    return std::ldexp(mantissa + (exponent > 0 ? std::ldexp(1.0, mantissa_bits) : 0.0),
                      std::max(exponent, 1) - bias - mantissa_bits);
  }
};

constexpr Format kFormats[] = {{Dtype::F16, 5, 10}, {Dtype::BF16, 8, 7}};

std::vector<std::uint16_t> codes_of(Dtype dtype, const std::vector<float>& numbers) {
  std::vector<std::uint16_t> codes(numbers.size());
  REQUIRE(from_floats(dtype, numbers, std::as_writable_bytes(std::span(codes))));
  return codes;
}

}  // namespace

TEST_SUITE_BEGIN("io small floats");

TEST_CASE("every number of 16 bits is read as it is defined, and written back to its code") {
  std::vector<std::uint16_t> codes(kCodes);
  for (std::uint32_t code = 0; code < kCodes; ++code)
    codes[code] = static_cast<std::uint16_t>(code);
  for (const Format& format : kFormats) {
    CAPTURE(to_string(format.dtype));
    std::vector<float> numbers(kCodes);
    to_floats(format.dtype, std::as_bytes(std::span(codes)), numbers);
    int wrong = 0, unlike = 0;
    const std::vector<std::uint16_t> again = codes_of(format.dtype, numbers);
    for (std::uint32_t code = 0; code < kCodes; ++code) {
      const std::uint32_t magnitude = code & (kSign - 1);
      const float x = numbers[code];
      const bool is_right = magnitude > format.infinity() ? std::isnan(x)
                            : magnitude == format.infinity()
                                ? std::isinf(x)
                                : std::abs(x) == format.value(magnitude);
      wrong += !is_right || std::signbit(x) != (code >= kSign) ? 1 : 0;
      // A NaN is one that signals no more; of bfloat16's the rest stays, too.
      const std::uint32_t quiet = 1u << (format.mantissa_bits - 1);
      const std::uint32_t kept = format.dtype == Dtype::BF16 ? code : code & ~(quiet - 1);
      unlike += again[code] != (std::isnan(x) ? kept | quiet : code) ? 1 : 0;
    }
    CHECK(wrong == 0);
    CHECK(unlike == 0);
  }
}

TEST_CASE("what lies between two numbers of 16 bits goes to the nearer, a tie to the even one") {
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (const Format& format : kFormats) {
    CAPTURE(to_string(format.dtype));
    int wrong = 0;
    for (std::uint32_t code = 0; code < format.infinity(); ++code) {
      const auto middle =
          static_cast<float>((format.value(code) + format.value(code + 1)) / 2);  // exact
      const std::vector<std::uint16_t> got = codes_of(
          format.dtype,
          {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, kLargest), -middle});
      const std::uint32_t even = code + code % 2;
      wrong += got[0] != code || got[1] != even || got[2] != code + 1 || got[3] != (kSign | even);
    }
    CHECK(wrong == 0);
  }
}

TEST_SUITE_END();
