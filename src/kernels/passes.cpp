// Which numbers' gradient passes an epilogue or a quantizer.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "kernels/affine.h"
#include "kernels/epilogue.h"

namespace rung::kernels {
namespace {

// Floats in rising order as whole numbers in rising order, and back.
std::int64_t order_of(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  return bits >= 0 ? bits : std::int64_t{std::numeric_limits<std::int32_t>::min()} - bits;
}
float float_of(std::int64_t order) {
  const std::int64_t bits =
      order >= 0 ? order : std::int64_t{std::numeric_limits<std::int32_t>::min()} - order;
  return std::bit_cast<float>(static_cast<std::int32_t>(bits));
}

/// Returns the largest float for which `holds`, which is true up to some float and false above it.
template <typename Predicate>
float last(const Predicate& holds) {
  std::int64_t low = order_of(-std::numeric_limits<float>::infinity());
  std::int64_t high = order_of(std::numeric_limits<float>::infinity());
  if (holds(float_of(high))) return float_of(high);
  while (high - low > 1) {  // holds at low (or nowhere), not at high
    const std::int64_t middle = low + (high - low) / 2;
    (holds(float_of(middle)) ? low : high) = middle;
  }
  return float_of(low);
}

}  // namespace

Interval passes(const AffineParams& params) {
  const auto code = [&](float x) {
    return affine_unclamped(affine_round(affine_steps(x, params)), params);
  };
  return {last([&](float x) { return code(x) < params.qmin; }),
          last([&](float x) { return code(x) <= params.qmax; })};
}

Interval passes(const Epilogue& epilogue) {
  Interval interval = epilogue.quantizes ? passes(epilogue.affine) : Interval{};
  interval.low = std::max(interval.low, epilogue.low);
  if (epilogue.high < std::numeric_limits<float>::infinity())
    interval.high = std::min(interval.high, float_of(order_of(epilogue.high) - 1));
  return interval;
}

}  // namespace rung::kernels
