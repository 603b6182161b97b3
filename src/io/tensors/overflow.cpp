#include "io/tensors/overflow.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/check.h"
#include "io/files/names.h"
#include "io/tensors/dtype.h"

namespace rung::io {
namespace {

/// The largest number of a type, and the largest that rounding to nearest even brings down to it.
struct Limit {
  float largest, rounded_down;
};

Limit limit_of(Dtype dtype) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // Half a step above the largest number is a tie. Its even neighbour is the first number that
  // there is not, but for F8_E4M3, whose largest number has an even code.
  switch (dtype) {
    case Dtype::F16:
      return {65504.0f, std::nextafter(65520.0f, 0.0f)};
    case Dtype::BF16:
      return {0x1.fep127f, std::nextafter(0x1.ffp127f, 0.0f)};
    case Dtype::F8_E5M2:
      return {57344.0f, std::nextafter(61440.0f, 0.0f)};
    case Dtype::F8_E4M3:
      return {448.0f, 464.0f};
    default:
      return {kInfinity, kInfinity};
  }
}

[[noreturn]] void fail_overflow(Dtype dtype, double value, std::size_t position,
                                const std::string& path, std::string_view name, float largest) {
  fail(
      "{}: {} has {} at position {}, {} holds at most {}: write a wider type, or the largest "
      "number in its place (rung convert --saturate)",
      path, shown_name(name), value, position, to_string(dtype), largest);
}

}  // namespace

void require_holds(Dtype dtype, std::span<const float> values, const std::string& path,
                   std::string_view name) {
  const Limit limit = limit_of(dtype);
  const auto found = std::ranges::find_if(
      values, [&](float x) { return std::isfinite(x) && std::abs(x) > limit.rounded_down; });
  if (found == values.end()) return;
  fail_overflow(dtype, *found, static_cast<std::size_t>(found - values.begin()), path, name,
                limit.largest);
}

void to_finite_floats(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out,
                      std::size_t first, const Conversion& conversion) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  to_floats(dtype, bytes, out);
  if (dtype != Dtype::F64) return;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!std::isinf(out[i])) continue;
    double value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
    if (std::isinf(value)) continue;
    if (!conversion.saturate)
      fail_overflow(Dtype::F32, value, first + i, conversion.path, conversion.name, kLargest);
    out[i] = std::copysign(kLargest, out[i]);
  }
}

void saturate(Dtype dtype, std::span<float> values) {
  const Limit limit = limit_of(dtype);
  for (float& x : values)
    if (std::isfinite(x)) x = std::clamp(x, -limit.largest, limit.largest);
}

}  // namespace rung::io
