#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rung/io/safetensors.h"

namespace rung::io {

/// Throws Error with `path`, the tensor's `name` and the number if the floating-point type would
/// make a finite number infinite or NaN. Types that are wide enough, and no floats, pass.
void require_holds(Dtype dtype, std::span<const float> values, const std::string& path,
                   std::string_view name);

/// Replaces finite numbers that the type would make infinite or NaN by its largest ones.
void saturate(Dtype dtype, std::span<float> values);

}  // namespace rung::io
