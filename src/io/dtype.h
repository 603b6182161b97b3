#pragma once

#include <cstddef>
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

}  // namespace rung::io
