#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/common.h"
#include "rung/core/parallel.h"

// What ops have in common that compute each output element from the same element of one input.

namespace rung {

/// Their shape rule: one input, and an output of its shape.
inline std::vector<Shape> same_shape(std::span<const Shape> inputs) {
  require_input_count(inputs, 1);
  return {inputs[0]};
}

/// Writes y = f(x) for every element, in any memory format.
template <typename Function>
void map(const View& x, const View& y, const Function& f) {
  parallel_for(x.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y.data[i] = f(x.data[i]);
  });
}

/// Writes dx = f(value, dy) for every element, if dx is wanted; `value` is that of x or of y,
/// whichever the op keeps for backward.
template <typename Function>
void map_gradient(const GradIo& io, const View& value, const Function& f) {
  if (!io.wants(0)) return;
  const View &dy = io.output_grad(0), &dx = io.input_grad(0);
  parallel_for(value.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) dx.data[i] = f(value.data[i], dy.data[i]);
  });
}

}  // namespace rung
