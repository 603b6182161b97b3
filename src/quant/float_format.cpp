#include "rung/quant/float_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/check.h"
#include "core/join.h"

// x = 1.m * 2^e has steps of 2^(e - mantissa bits) around it: divide by the step, round, multiply.
// The step is a power of two, so that only the rounding rounds.

namespace rung {
namespace {

constexpr std::array kFormats = {kFloat16, kBfloat16, kFloat8E4m3, kFloat8E4m3fn, kFloat8E5m2};

/// Returns floor(log2(|x|)) of a normal number, -127 of anything smaller.
int exponent(float x) {
  return static_cast<int>(std::bit_cast<std::uint32_t>(x) >> 23 & 0xff) - 127;
}

/// Returns 2^e in double, which has exponents to spare.
double power_of_two(int e) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + e) << 52);
}

float round_to(float x, const FloatFormat& format) {
  if (format.saturates) x = -format.max > x ? -format.max : (format.max < x ? format.max : x);
  const int e = std::max(exponent(x), format.min_exponent);
  const double step = power_of_two(e - format.mantissa_bits);
  const double y = std::nearbyint(double{x} / step) * step;
  const bool beyond = std::fabs(y) > double{format.max};  // NaN is not
  return beyond ? std::copysign(std::numeric_limits<float>::infinity(), x) : static_cast<float>(y);
}

}  // namespace

std::span<const FloatFormat> float_formats() { return kFormats; }

const FloatFormat& float_format(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &FloatFormat::name);
  if (found != kFormats.end()) return *found;
  std::array<std::string_view, kFormats.size()> names;
  std::ranges::transform(kFormats, names.begin(), &FloatFormat::name);
  fail("unknown floating-point format \"{}\"; there are {}", name, join(names));
}

void float_quantize_dequantize(std::span<const float> x, const FloatFormat& format,
                               std::span<float> y) {
  require(x.size() == y.size(), "x and y must have the same size, got {} and {}", x.size(),
          y.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = round_to(x[i], format);
}

void float_quantize_dequantize_backward(std::span<const float> x, std::span<const float> dy,
                                        const FloatFormat& format, std::span<float> dx) {
  require(x.size() == dy.size() && x.size() == dx.size(),
          "x, dy and dx must have the same size, got {}, {} and {}", x.size(), dy.size(),
          dx.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    dx[i] = !format.saturates || std::fabs(x[i]) <= format.max ? dy[i] : 0.0f;
}

}  // namespace rung
