#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "io/tensors/dtype.h"

namespace rung::io {
namespace {

/// Encodes a small float with exponent and mantissa bits below a sign, as small_float in dtype.cpp
/// decodes it. Every step but the rounding is exact.
unsigned small_float_code(double x, int exponent_bits, int mantissa_bits, bool ieee) {
  const unsigned sign = std::signbit(x) ? 1u << (exponent_bits + mantissa_bits) : 0u;
  const unsigned infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
  const unsigned nan = infinity | (ieee ? 1u << (mantissa_bits - 1) : (1u << mantissa_bits) - 1);
  if (std::isnan(x)) return sign | nan;
  if (std::isinf(x)) return sign | (ieee ? infinity : nan);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double magnitude = std::abs(x);
  const int exponent = magnitude == 0 ? 1 - bias : std::max(std::ilogb(magnitude), 1 - bias);
  const double steps = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
  // The implicit one of a normal number is the step that raises the exponent field from 0 to 1; a
  // mantissa that was rounded up to a power of two carries into the exponent in the same way.
  const double code = std::ldexp(exponent + bias - 1, mantissa_bits) + steps;
  const unsigned end = ieee ? infinity : nan;  // the first code that is no finite number
  return sign | (code >= end ? end : static_cast<unsigned>(code));
}

/// Of a NaN the sign is kept: how much else would be depends on the processor.
Eigen::half half_code(float x) {
  return Eigen::half(std::isnan(x) ? std::copysign(std::numeric_limits<float>::quiet_NaN(), x) : x);
}

/// Of a NaN the upper half is kept.
std::uint16_t bfloat16_code(float x) {
  if (!std::isnan(x)) return Eigen::bfloat16(x).value;
  return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(x) >> 16) | 0x40);
}

/// Stores whole numbers from T's least to 2^digits - 1; returns false at the first other one.
template <typename T, typename In>
bool whole(std::span<const In> values, std::span<std::byte> out,
           int digits = std::numeric_limits<T>::digits) {
  constexpr T kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  const double end = std::ldexp(1.0, digits);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const In value = values[i];
    if constexpr (std::is_integral_v<In>) {
      const T high = static_cast<T>(kHigh >> (std::numeric_limits<T>::digits - digits));
      if (std::cmp_less(value, kLow) || std::cmp_greater(value, high)) return false;
    } else {
      const double wide = value;  // NaN fails every comparison
      if (!(wide >= static_cast<double>(kLow) && wide < end && wide == std::trunc(wide)))
        return false;
    }
    const T stored = static_cast<T>(value);
    std::memcpy(out.data() + i * sizeof(T), &stored, sizeof(T));
  }
  return true;
}

template <typename In>
bool to_whole(Dtype dtype, std::span<const In> values, std::span<std::byte> out) {
  switch (dtype) {
    case Dtype::BOOL:
      return whole<std::uint8_t>(values, out, 1);
    case Dtype::U8:
      return whole<std::uint8_t>(values, out);
    case Dtype::I8:
      return whole<std::int8_t>(values, out);
    case Dtype::U16:
      return whole<std::uint16_t>(values, out);
    case Dtype::I16:
      return whole<std::int16_t>(values, out);
    case Dtype::U32:
      return whole<std::uint32_t>(values, out);
    case Dtype::I32:
      return whole<std::int32_t>(values, out);
    case Dtype::U64:
      return whole<std::uint64_t>(values, out);
    case Dtype::I64:
      return whole<std::int64_t>(values, out);
    default:
      return false;
  }
}

template <typename T, typename Convert>
bool each(std::span<const float> values, std::span<std::byte> out, const Convert& convert) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(convert(values[i]));
    std::memcpy(out.data() + i * sizeof(T), &value, sizeof(T));
  }
  return true;
}

}  // namespace

bool from_floats(Dtype dtype, std::span<const float> values, std::span<std::byte> out) {
  switch (dtype) {
    case Dtype::F32:
      std::ranges::copy(std::as_bytes(values), out.begin());
      return true;
    case Dtype::F64:
      return each<double>(values, out, [](float x) { return x; });
    case Dtype::BF16:
      return each<std::uint16_t>(values, out, bfloat16_code);
    case Dtype::F16:
      return each<Eigen::half>(values, out, half_code);
    case Dtype::F8_E5M2:
      return each<std::uint8_t>(values, out,
                                [](float x) { return small_float_code(x, 5, 2, true); });
    case Dtype::F8_E4M3:
      return each<std::uint8_t>(values, out,
                                [](float x) { return small_float_code(x, 4, 3, false); });
    default:
      return to_whole(dtype, values, out);
  }
}

bool from_integers(Dtype dtype, std::span<const std::int64_t> values, std::span<std::byte> out) {
  return to_whole(dtype, values, out);
}

}  // namespace rung::io
