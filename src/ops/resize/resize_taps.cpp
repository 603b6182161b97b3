#include "ops/resize/resize_taps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "core/check.h"
#include "core/join.h"

// ONNX, operator Resize: the formulas of coordinate_transformation_mode and nearest_mode.

namespace rung {
namespace {

enum class Coordinates { half_pixel, pytorch_half_pixel, align_corners, asymmetric, tf_half_pixel };
enum class Nearest { round_prefer_floor, round_prefer_ceil, floor, ceil };

template <typename Enum, std::size_t N>
Enum parse(std::string_view what, std::string_view name,
           const std::array<std::string_view, N>& names) {
  const auto found = std::ranges::find(names, name);
  require(found != names.end(), "{} must be one of {}, got {}", what, join(names), name);
  return static_cast<Enum>(found - names.begin());
}

Coordinates coordinates_of(const Resize& op) {
  constexpr std::array<std::string_view, 5> kNames = {
      "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"};
  return parse<Coordinates>("coordinate_transformation_mode", op.coordinate_transformation_mode,
                            kNames);
}

Nearest nearest_of(const Resize& op) {
  constexpr std::array<std::string_view, 4> kNames = {"round_prefer_floor", "round_prefer_ceil",
                                                      "floor", "ceil"};
  return parse<Nearest>("nearest_mode", op.nearest_mode, kNames);
}

bool is_linear(const Resize& op) {
  constexpr std::array<std::string_view, 3> kNames = {"nearest", "linear", "cubic"};
  return parse<int>("mode", op.mode, kNames) == 1;
}

/// Returns where a place measured in pixels of the result lies in x. A scale is divided by in
/// float, as ONNX Runtime does; of two extents the quotient is rounded once, so that whole pixels
/// stay whole and halves halves.
double unscaled(double place, std::int64_t extent, std::int64_t resized, float scale) {
  if (scale > 0.0f) return static_cast<float>(place) / scale;
  return place * static_cast<double>(extent) / static_cast<double>(resized);
}

double place_in_x(Coordinates mode, std::int64_t i, std::int64_t extent, std::int64_t resized,
                  float scale) {
  const auto at = static_cast<double>(i);
  switch (mode) {
    case Coordinates::align_corners:
      return resized == 1 ? 0.0
                          : at * static_cast<double>(extent - 1) / static_cast<double>(resized - 1);
    case Coordinates::asymmetric:
      return unscaled(at, extent, resized, scale);
    case Coordinates::tf_half_pixel:
      return unscaled(at + 0.5, extent, resized, scale);
    case Coordinates::pytorch_half_pixel:
      if (resized == 1) return 0.0;
      [[fallthrough]];
    default:
      return unscaled(at + 0.5, extent, resized, scale) - 0.5;
  }
}

double rounded(Nearest mode, double place) {
  switch (mode) {
    case Nearest::floor:
      return std::floor(place);
    case Nearest::ceil:
      return std::ceil(place);
    case Nearest::round_prefer_ceil:
      return std::floor(place + 0.5);
    default:
      return std::ceil(place - 0.5);
  }
}

}  // namespace

std::int64_t resized_extent(std::int64_t extent, float scale, std::int64_t size) {
  if (scale == 0.0f) return size;
  const double resized = std::floor(static_cast<double>(static_cast<float>(extent) * scale));
  require(resized >= 1.0 && resized <= 0x1p31, "scale {} gives an extent of {} no size", scale,
          extent);
  return static_cast<std::int64_t>(resized);
}

std::vector<ResizeTap> resize_taps(const Resize& op, std::int64_t extent, std::int64_t resized,
                                   float scale) {
  const bool linear = is_linear(op);
  const Coordinates coordinates = coordinates_of(op);
  const Nearest nearest = nearest_of(op);
  const auto last = static_cast<double>(extent - 1);
  std::vector<ResizeTap> taps;
  for (std::int64_t i = 0; i < resized; ++i) {
    const double place = place_in_x(coordinates, i, extent, resized, scale);
    // Beyond the outermost pixels their values go on.
    const double at = std::clamp(linear ? place : rounded(nearest, place), 0.0, last);
    const auto low = static_cast<std::int64_t>(at);
    taps.push_back({.low = low,
                    .high = linear ? std::min(low + 1, extent - 1) : low,
                    .weight = static_cast<float>(at - static_cast<double>(low))});
  }
  return taps;
}

std::vector<CubicTap> cubic_taps(const Resize& op, std::int64_t extent, std::int64_t resized,
                                 float scale) {
  const Coordinates coordinates = coordinates_of(op);
  const double a = op.cubic_coeff_a;
  // Keys 1981, equation 4: distances up to 1, and from 1 to 2.
  const auto near = [=](double d) { return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0; };
  const auto far = [=](double d) { return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a; };
  std::vector<CubicTap> taps;
  for (std::int64_t i = 0; i < resized; ++i) {
    const double place = place_in_x(coordinates, i, extent, resized, scale);
    const double first = std::floor(place), d = place - first;
    std::array<double, 4> weights = {far(d + 1.0), near(d), near(1.0 - d), far(2.0 - d)};
    CubicTap tap;
    double sum = 0.0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::int64_t at = static_cast<std::int64_t>(first) + static_cast<std::int64_t>(k) - 1;
      tap.at[k] = std::clamp<std::int64_t>(at, 0, extent - 1);
      if (op.exclude_outside && tap.at[k] != at) weights[k] = 0.0;
      sum += weights[k];
    }
    for (std::size_t k = 0; k < 4; ++k)
      tap.weight[k] = static_cast<float>(op.exclude_outside ? weights[k] / sum : weights[k]);
    taps.push_back(tap);
  }
  return taps;
}

}  // namespace rung
