#pragma once

#include <cmath>

#include "core/check.h"

namespace rung {

/// Throws Error unless `epsilon` can stand beside a variance under a root.
inline void require_epsilon(float epsilon) {
  require(std::isfinite(epsilon) && epsilon >= 0, "epsilon must be finite and not negative, got {}",
          epsilon);
}

}  // namespace rung
