#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/core/tensor.h"
#include "support/message_of.h"

// What the tests of quantizers have in common.

inline rung::Tensor normal(rung::Shape shape, std::uint64_t seed, double size = 1.0) {
  rung::Rng rng(seed);
  rung::Tensor x(std::move(shape));
  for (float& each : x.data()) each = static_cast<float>(size * rng.normal());
  return x;
}
