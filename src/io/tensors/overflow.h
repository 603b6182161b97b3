#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "rung/io/safetensors.h"

namespace rung::io {

/// Throws Error with `path`, the tensor's `name` and the number if the floating-point type would
/// make a finite number infinite or NaN. Types that are wide enough, and no floats, pass.
void require_holds(Dtype dtype, std::span<const float> values, const std::string& path,
                   std::string_view name);

/// Whose numbers are converted, for messages, and what becomes of those that do not fit.
struct Conversion {
  const std::string& path;
  std::string_view name;
  bool saturate = false;
};

/// Converts as to_floats does. Where float64's finite numbers are beyond float32, throws Error as
/// require_holds does, or writes the largest number; `first` is the position of the first element.
void to_finite_floats(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out,
                      std::size_t first, const Conversion& conversion);

/// Replaces finite numbers that the type would make infinite or NaN by its largest ones.
void saturate(Dtype dtype, std::span<float> values);

}  // namespace rung::io
