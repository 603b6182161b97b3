#include <algorithm>
#include <array>
#include <cmath>

#include "core/check.h"
#include "rung/nn/transforms.h"

namespace rung::nn {
namespace {

struct Color {
  float r, g, b;
};

float luma(const Color& c) { return 0.2989f * c.r + 0.587f * c.g + 0.114f * c.b; }

float blend(float x, float other, double factor) {
  const float sum = static_cast<float>(factor) * x + static_cast<float>(1.0 - factor) * other;
  return std::clamp(sum, 0.0f, 1.0f);
}

/// Calls f(Color) -> Color for every pixel.
template <typename F>
void for_each_color(Image& image, const F& f) {
  const auto r = image.channel(0), g = image.channel(1), b = image.channel(2);
  for (std::size_t i = 0; i < r.size(); ++i) {
    const Color c = f(Color{r[i], g[i], b[i]});
    r[i] = c.r, g[i] = c.g, b[i] = c.b;
  }
}

void check(std::string_view who, const Image& image, double factor) {
  require(image.channels == 1 || image.channels == 3,
          "{}: the image has {} channels, must have 1 or 3", who, image.channels);
  require(factor >= 0.0 && std::isfinite(factor), "{}: the factor must not be negative, got {}",
          who, factor);
}

double mean_luma(Image& image) {
  double sum = 0.0;
  if (image.channels == 1)
    for (const float x : image.pixels) sum += x;
  else
    for_each_color(image, [&](const Color& c) {
      sum += luma(c);
      return c;
    });
  return sum / static_cast<double>(std::max<std::int64_t>(image.height * image.width, 1));
}

struct Hsv {
  float h, s, v;
};

Hsv to_hsv(const Color& c) {
  const float max = std::max({c.r, c.g, c.b}), min = std::min({c.r, c.g, c.b});
  if (max == min) return {0.0f, 0.0f, max};
  const float span = max - min;
  const float r = (max - c.r) / span, g = (max - c.g) / span, b = (max - c.b) / span;
  const float sixths = max == c.r ? b - g : max == c.g ? 2.0f + r - b : 4.0f + g - r;
  return {std::fmod(sixths / 6.0f + 1.0f, 1.0f), span / max, max};
}

Color to_rgb(const Hsv& c) {
  const float sixths = c.h * 6.0f, sector = std::floor(sixths), f = sixths - sector;
  const auto unit = [](float x) { return std::clamp(x, 0.0f, 1.0f); };
  const float p = unit(c.v * (1.0f - c.s));
  const float q = unit(c.v * (1.0f - c.s * f));
  const float t = unit(c.v * (1.0f - c.s * (1.0f - f)));
  switch (static_cast<int>(sector) % 6) {
    case 0:
      return {c.v, t, p};
    case 1:
      return {q, c.v, p};
    case 2:
      return {p, c.v, t};
    case 3:
      return {p, q, c.v};
    case 4:
      return {t, p, c.v};
    default:
      return {c.v, p, q};
  }
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  check("adjust_brightness", image, factor);
  for (float& x : image.pixels) x = blend(x, 0.0f, factor);
}

void adjust_contrast(Image& image, double factor) {
  check("adjust_contrast", image, factor);
  const auto mean = static_cast<float>(mean_luma(image));
  for (float& x : image.pixels) x = blend(x, mean, factor);
}

void adjust_saturation(Image& image, double factor) {
  check("adjust_saturation", image, factor);
  if (image.channels == 1) return;
  for_each_color(image, [&](const Color& c) {
    const float grey = luma(c);
    return Color{blend(c.r, grey, factor), blend(c.g, grey, factor), blend(c.b, grey, factor)};
  });
}

void adjust_hue(Image& image, double shift) {
  check("adjust_hue", image, 1.0);
  require(shift >= -0.5 && shift <= 0.5, "adjust_hue: the shift must be in [-0.5, 0.5], got {}",
          shift);
  if (image.channels == 1) return;
  for_each_color(image, [by = static_cast<float>(shift)](const Color& c) {
    Hsv hsv = to_hsv(c);
    hsv.h += by;
    hsv.h -= std::floor(hsv.h);
    return to_rgb(hsv);
  });
}

Transform color_jitter(const ColorJitterOptions& options) {
  require(options.brightness >= 0.0 && options.contrast >= 0.0 && options.saturation >= 0.0 &&
              std::isfinite(options.brightness + options.contrast + options.saturation),
          "color_jitter: brightness, contrast and saturation must not be negative, got {}, {}, {}",
          options.brightness, options.contrast, options.saturation);
  require(options.hue >= 0.0 && options.hue <= 0.5, "color_jitter: hue must be in [0, 0.5], got {}",
          options.hue);
  return [o = options](Image& image, Rng& rng) {
    std::array<std::int64_t, 4> order{0, 1, 2, 3};
    rng.shuffle(order);
    const auto factor = [&](double x) { return rng.uniform(std::max(0.0, 1.0 - x), 1.0 + x); };
    const double brightness = factor(o.brightness), contrast = factor(o.contrast);
    const double saturation = factor(o.saturation), hue = rng.uniform(-o.hue, o.hue);
    for (const std::int64_t step : order) {
      if (step == 0 && o.brightness > 0.0) adjust_brightness(image, brightness);
      if (step == 1 && o.contrast > 0.0) adjust_contrast(image, contrast);
      if (step == 2 && o.saturation > 0.0) adjust_saturation(image, saturation);
      if (step == 3 && o.hue > 0.0) adjust_hue(image, hue);
    }
  };
}

}  // namespace rung::nn
