#include "io/tensors/dtype.h"

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace rung::io {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

struct Row {
  Dtype dtype;
  std::string_view name;
  std::int64_t bits;
};

constexpr std::array kRows = {
    Row{Dtype::BOOL, "BOOL", 8},
    Row{Dtype::F4, "F4", 4},
    Row{Dtype::F6_E2M3, "F6_E2M3", 6},
    Row{Dtype::F6_E3M2, "F6_E3M2", 6},
    Row{Dtype::U8, "U8", 8},
    Row{Dtype::I8, "I8", 8},
    Row{Dtype::F8_E5M2, "F8_E5M2", 8},
    Row{Dtype::F8_E4M3, "F8_E4M3", 8},
    Row{Dtype::F8_E8M0, "F8_E8M0", 8},
    Row{Dtype::F8_E4M3FNUZ, "F8_E4M3FNUZ", 8},
    Row{Dtype::F8_E5M2FNUZ, "F8_E5M2FNUZ", 8},
    Row{Dtype::I16, "I16", 16},
    Row{Dtype::U16, "U16", 16},
    Row{Dtype::F16, "F16", 16},
    Row{Dtype::BF16, "BF16", 16},
    Row{Dtype::I32, "I32", 32},
    Row{Dtype::U32, "U32", 32},
    Row{Dtype::F32, "F32", 32},
    Row{Dtype::C64, "C64", 64},
    Row{Dtype::F64, "F64", 64},
    Row{Dtype::I64, "I64", 64},
    Row{Dtype::U64, "U64", 64},
};

const Row& row(Dtype dtype) { return *std::ranges::find(kRows, dtype, &Row::dtype); }

/// Decodes a small float with sign, exponent and mantissa bits whose highest exponent means
/// infinity and NaN (IEEE), or only for the all-ones mantissa NaN (E4M3, which has no infinity).
float small_float(unsigned code, int exponent_bits, int mantissa_bits, bool ieee) {
  const unsigned mantissa_mask = (1u << mantissa_bits) - 1;
  const unsigned exponent_mask = (1u << exponent_bits) - 1;
  const unsigned mantissa = code & mantissa_mask;
  const unsigned exponent = (code >> mantissa_bits) & exponent_mask;
  const bool negative = (code >> (mantissa_bits + exponent_bits)) & 1u;
  const int bias = static_cast<int>(exponent_mask >> 1);
  float magnitude = 0;
  if (exponent == exponent_mask && (ieee || mantissa == mantissa_mask)) {
    magnitude = ieee && mantissa == 0 ? std::numeric_limits<float>::infinity()
                                      : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa | (mantissa_mask + 1)),
                           static_cast<int>(exponent) - bias - mantissa_bits);
  }
  return negative ? -magnitude : magnitude;
}

template <typename T, typename Out, typename Convert>
void each(std::span<const std::byte> bytes, std::span<Out> out, const Convert& convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));  // bytes may be unaligned
    out[i] = convert(value);
  }
}

template <typename T, typename Out>
void cast(std::span<const std::byte> bytes, std::span<Out> out) {
  each<T>(bytes, out, [](T value) { return static_cast<Out>(value); });
}

/// Serves the dtypes that mean the same to both targets; returns false for the others.
template <typename Out>
bool cast_integers(Dtype dtype, std::span<const std::byte> bytes, std::span<Out> out) {
  switch (dtype) {
    case Dtype::BOOL:
      each<std::uint8_t>(bytes, out, [](std::uint8_t value) { return Out(value != 0); });
      return true;
    case Dtype::U8:
      cast<std::uint8_t>(bytes, out);
      return true;
    case Dtype::I8:
      cast<std::int8_t>(bytes, out);
      return true;
    case Dtype::I16:
      cast<std::int16_t>(bytes, out);
      return true;
    case Dtype::U16:
      cast<std::uint16_t>(bytes, out);
      return true;
    case Dtype::I32:
      cast<std::int32_t>(bytes, out);
      return true;
    case Dtype::U32:
      cast<std::uint32_t>(bytes, out);
      return true;
    case Dtype::I64:
      cast<std::int64_t>(bytes, out);
      return true;
    case Dtype::U64:
      cast<std::uint64_t>(bytes, out);
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string_view to_string(Dtype dtype) { return row(dtype).name; }

std::int64_t bit_size(Dtype dtype) { return row(dtype).bits; }

std::optional<Dtype> dtype_from_string(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &Row::name);
  return found == kRows.end() ? std::nullopt : std::optional(found->dtype);
}

bool converts_to_integer(Dtype dtype) {
  switch (dtype) {
    case Dtype::BOOL:
    case Dtype::U8:
    case Dtype::I8:
    case Dtype::I16:
    case Dtype::U16:
    case Dtype::I32:
    case Dtype::U32:
    case Dtype::I64:
    case Dtype::U64:
      return true;
    default:
      return false;
  }
}

bool converts_to_float(Dtype dtype) {
  switch (dtype) {
    case Dtype::F32:
    case Dtype::F64:
    case Dtype::F16:
    case Dtype::BF16:
    case Dtype::F8_E5M2:
    case Dtype::F8_E4M3:
      return true;
    default:
      return converts_to_integer(dtype);
  }
}

void to_floats(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out) {
  if (cast_integers(dtype, bytes, out)) return;
  switch (dtype) {
    case Dtype::F32:
      cast<float>(bytes, out);
      break;
    case Dtype::F64:
      cast<double>(bytes, out);
      break;
    case Dtype::BF16:  // the upper half of a float32
      each<std::uint16_t>(bytes, out, [](std::uint16_t code) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16);
      });
      break;
    case Dtype::F16:
      // What is kept of a NaN depends on the processor. Here it is the sign.
      each<Eigen::half>(bytes, out, [](Eigen::half code) {
        const auto x = static_cast<float>(code);
        return std::isnan(x) ? std::copysign(std::numeric_limits<float>::quiet_NaN(), x) : x;
      });
      break;
    case Dtype::F8_E5M2:
      each<std::uint8_t>(bytes, out,
                         [](std::uint8_t code) { return small_float(code, 5, 2, true); });
      break;
    case Dtype::F8_E4M3:
      each<std::uint8_t>(bytes, out,
                         [](std::uint8_t code) { return small_float(code, 4, 3, false); });
      break;
    default:
      break;
  }
}

bool to_integers(Dtype dtype, std::span<const std::byte> bytes, std::span<std::int64_t> out) {
  cast_integers(dtype, bytes, out);
  return dtype != Dtype::U64 || std::ranges::none_of(out, [](std::int64_t v) { return v < 0; });
}

}  // namespace rung::io
