#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "rung/io/safetensors.h"

namespace rung::io {

/// Returns the dtype of this name, or nothing.
std::optional<Dtype> dtype_from_string(std::string_view name);

/// True if to_floats can read it.
bool converts_to_float(Dtype dtype);
/// True if to_integers can read it.
bool converts_to_integer(Dtype dtype);

/// Converts little-endian elements to float32, rounding to nearest even.
void to_floats(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out);
/// Converts little-endian integers exactly; returns false if a U64 does not fit.
bool to_integers(Dtype dtype, std::span<const std::byte> bytes, std::span<std::int64_t> out);

/// Converts what converts_to_float says to little-endian elements. Floating-point types round to
/// nearest even; too large numbers become infinite, in F8_E4M3 NaN. Returns false, with `out`
/// undefined, if an integer type or BOOL does not hold a value exactly.
bool from_floats(Dtype dtype, std::span<const float> values, std::span<std::byte> out);
/// Converts to integer types and BOOL; returns false, with `out` undefined, if one does not hold a
/// value.
bool from_integers(Dtype dtype, std::span<const std::int64_t> values, std::span<std::byte> out);

}  // namespace rung::io
