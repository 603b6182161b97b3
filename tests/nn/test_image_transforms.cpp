// Resizing, cropping and colors, against torchvision 0.14 on PIL images (bytes) and, for colors, on
// float tensors.

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "rung/core/error.h"
#include "rung/datasets.h"
#include "rung/nn/transforms.h"
#include "support/images.h"

using namespace rung;

namespace {

constexpr double kByte = 1.0 / 255.0;
constexpr double kTiny = 1e-6;  // of float arithmetic

nn::Image rgb() { return datasets::read_image(images::path("rgb.png")); }

nn::Image after(nn::Image image, const nn::Transform& transform) {
  Rng rng(0);
  transform(image, rng);
  return image;
}

nn::Image numbered(std::int64_t channels, std::int64_t height, std::int64_t width) {
  nn::Image image;
  image.resize(channels, height, width);
  std::iota(image.pixels.begin(), image.pixels.end(), 1.0f);
  return image;
}

std::vector<std::int64_t> extents(const nn::Image& image) {
  return {image.channels, image.height, image.width};
}

}  // namespace

TEST_SUITE_BEGIN("nn image transforms");

TEST_CASE("resized images are torchvision's to the bit") {
  for (const auto& [name, transform] :
       {std::pair{"resize_24", nn::resize(24)}, std::pair{"resize_61", nn::resize(61)},
        std::pair{"resize_70x33", nn::resize({70, 33})}}) {
    INFO(std::string(name));
    const nn::Image image = after(rgb(), transform);
    CHECK(images::difference(image, images::expected(name)).largest == 0.0);
    for (const float x : image.pixels) CHECK(std::nearbyint(x * 255.0f) / 255.0f == x);
  }
}

// Pillow 9.4: Image.resize((8, 16), BILINEAR) of columns 2, 3, 2, 3, ... gives 2, 3, 3, 3, 3, 3,
// 3, 3.
TEST_CASE("halving an image rounds ties up, as Pillow does, not to even") {
  for (const int low : {0, 1, 2, 3, 100, 253}) {
    nn::Image image;
    image.resize(1, 16, 16);
    for (std::size_t i = 0; i < image.pixels.size(); ++i)
      image.pixels[i] = static_cast<float>(low + static_cast<int>(i % 2)) / 255.0f;
    const nn::Image half = after(image, nn::resize({16, 8}));
    for (std::size_t x = 0; x < 8; ++x)
      CHECK(half.pixels[3 * 8 + x] == static_cast<float>(low + (x == 0 ? 0 : 1)) / 255.0f);
  }
}

TEST_CASE("exact resizing keeps a plane a plane, and a constant constant up to the edges") {
  nn::Image constant;
  constant.resize(1, 37, 51);
  std::ranges::fill(constant.pixels, 0.3f);
  for (const nn::ImageSize size : {nn::ImageSize{5, 90}, nn::ImageSize{80, 7}, nn::ImageSize{1, 1}})
    for (const float x :
         after(constant, nn::resize(size, {.values = nn::PixelValues::exact})).pixels)
      CHECK(x == doctest::Approx(0.3f).epsilon(1e-5));
  nn::Image one;
  one.resize(1, 1, 1);
  one.pixels[0] = 0.25f;
  for (const float x : after(one, nn::resize({3, 4}, {.values = nn::PixelValues::exact})).pixels)
    CHECK(x == doctest::Approx(0.25f));
}

TEST_CASE("resize makes the shorter edge as long as asked and rounds the other one down") {
  CHECK(extents(after(numbered(1, 100, 150), nn::resize(64))) ==
        std::vector<std::int64_t>{1, 64, 96});
  CHECK(extents(after(numbered(1, 133, 101), nn::resize(64))) ==
        std::vector<std::int64_t>{1, 84, 64});  // 84.28
  CHECK(after(numbered(2, 5, 7), nn::resize(5)).pixels == numbered(2, 5, 7).pixels);
}

TEST_CASE("resize refuses sizes that make no sense or would be enormous") {
  CHECK_THROWS_AS(nn::resize(0), Error);
  CHECK_THROWS_AS(nn::resize({4, -1}), Error);
  CHECK_THROWS_WITH_AS(after(numbered(1, 1, 60000), nn::resize(256)),
                       "resize: an image of 1x60000 would become 256x15360000, which is too large",
                       Error);
  CHECK_THROWS_AS(after(nn::Image(), nn::resize(3)), Error);
}

TEST_CASE("center_crop cuts and pads as torchvision") {
  CHECK(images::difference(after(rgb(), nn::center_crop({31, 33})), images::expected("crop_31x33"))
            .largest == 0.0);
  CHECK(images::difference(after(rgb(), nn::center_crop({45, 71})), images::expected("crop_45x71"))
            .largest == 0.0);
  // 3 spare rows: half to even gives 2; 1 spare column gives 0.
  CHECK(after(numbered(1, 5, 3), nn::center_crop(2)).pixels == std::vector<float>{7, 8, 10, 11});
}

TEST_CASE("grayscale is Pillow's") {
  const nn::Image grey = after(rgb(), nn::grayscale());
  CHECK(images::difference(grey, images::expected("grayscale")).largest <= kByte + kTiny);
  CHECK(after(grey, nn::grayscale()).pixels == grey.pixels);
  CHECK_THROWS_AS(after(numbered(2, 1, 1), nn::grayscale()), Error);
}

// In units of pixel values before normalization.
images::Difference evaluation_difference(const nn::Image& decoded, const std::string& name) {
  const nn::Image image = after(decoded, nn::imagenet_eval({.size = 56}));
  const images::Array wanted = images::expected("eval_56_" + name);
  REQUIRE(wanted.dims == extents(image));
  constexpr std::size_t kPlane = 56 * 56;
  images::Difference all;
  for (std::size_t c = 0; c < 3; ++c) {
    const double std = nn::ImagenetStatistics{}.std[c];
    const images::Difference d =
        images::difference(std::span(image.pixels).subspan(c * kPlane, kPlane),
                           std::span(wanted.values).subspan(c * kPlane, kPlane));
    all.largest = std::max(all.largest, d.largest * std);
    all.mean += d.mean * std / 3.0;
  }
  return all;
}

TEST_CASE("the evaluation pipeline gives torchvision's normalized pixels") {
  for (const std::string name : {"baseline.jpg", "progressive.jpg"}) {
    INFO(name);
    const images::Array pixels = images::expected(name);
    nn::Image decoded;  // by Pillow
    decoded.resize(pixels.dims[0], pixels.dims[1], pixels.dims[2]);
    decoded.pixels = pixels.values;
    const images::Difference same = evaluation_difference(decoded, name);
    CHECK(same.largest <= kByte + kTiny);
    CHECK(same.mean <= 0.01 * kByte);
    // JPEG decoders differ by up to 3 steps: what is left of that after resizing.
    const images::Difference own =
        evaluation_difference(datasets::read_image(images::path(name)), name);
    CHECK(own.largest <= 2.0 * kByte + kTiny);
    CHECK(own.mean <= 0.1 * kByte);
  }
  CHECK(nn::imagenet_resize(224) == 256);
  CHECK(nn::imagenet_resize(56) == 64);
  CHECK(extents(after(numbered(3, 300, 400), nn::imagenet_eval())) ==
        std::vector<std::int64_t>{3, 224, 224});
  CHECK_THROWS_AS(nn::imagenet_eval({.size = 64, .resize = 60}), Error);
}

TEST_CASE("colors change as in torchvision") {
  const images::Array input = images::expected("color_input");
  nn::Image image;
  image.resize(input.dims[0], input.dims[1], input.dims[2]);
  image.pixels = input.values;
  struct Case {
    const char* name;
    void (*adjust)(nn::Image&, double);
    double factors[2];
  };
  for (const Case& each : {Case{"brightness", nn::adjust_brightness, {0.4, 1.7}},
                           Case{"contrast", nn::adjust_contrast, {0.4, 1.7}},
                           Case{"saturation", nn::adjust_saturation, {0.0, 1.7}},
                           Case{"hue", nn::adjust_hue, {-0.3, 0.12}}}) {
    INFO(std::string(each.name));
    const images::Array wanted = images::expected(each.name);
    for (std::size_t i = 0; i < 2; ++i) {
      nn::Image changed = image;
      each.adjust(changed, each.factors[i]);
      const std::size_t count = changed.pixels.size();
      CHECK(images::difference(changed.pixels, std::span(wanted.values).subspan(i * count, count))
                .largest < 2e-6);
      CHECK(images::difference(changed.pixels, image.pixels).largest > 0.01);
    }
  }
  nn::Image grey = numbered(1, 1, 1), two = numbered(2, 1, 1);
  nn::adjust_hue(grey, 0.3);
  nn::adjust_saturation(grey, 0.0);
  CHECK(grey.pixels[0] == 1.0f);
  CHECK_THROWS_AS(nn::adjust_brightness(grey, -0.1), Error);
  CHECK_THROWS_AS(nn::adjust_hue(grey, 0.6), Error);
  CHECK_THROWS_AS(nn::adjust_contrast(two, 1.0), Error);
}

TEST_CASE("color_jitter draws factors of its ranges and repeats with the same random numbers") {
  const nn::Transform jitter = nn::color_jitter({.brightness = 0.5});
  Rng rng(3);
  double low = 2.0, high = 0.0;
  for (int i = 0; i < 2000; ++i) {
    nn::Image image;
    image.resize(1, 1, 1);
    image.pixels[0] = 0.5f;
    jitter(image, rng);
    low = std::min(low, image.pixels[0] * 2.0);
    high = std::max(high, image.pixels[0] * 2.0);
  }
  CHECK(low == doctest::Approx(0.5).epsilon(0.01));
  CHECK(high == doctest::Approx(1.5).epsilon(0.01));
  const nn::Transform all =
      nn::color_jitter({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1});
  nn::Image a = rgb(), b = rgb(), c = rgb();
  Rng first(8), second(8), third(9);
  all(a, first);
  all(b, second);
  all(c, third);
  CHECK(a.pixels == b.pixels);
  CHECK(a.pixels != c.pixels);
  CHECK(after(rgb(), nn::color_jitter({})).pixels == rgb().pixels);
  CHECK_THROWS_AS(nn::color_jitter({.brightness = -1.0}), Error);
  CHECK_THROWS_AS(nn::color_jitter({.hue = 0.6}), Error);
}

TEST_CASE("random_resized_crop takes windows of the asked area and ratio, anywhere") {
  // Pixel values tell where a window came from: x in channel 0, y in channel 1.
  nn::Image ramp;
  ramp.resize(2, 60, 80);
  for (std::int64_t y = 0; y < 60; ++y)
    for (std::int64_t x = 0; x < 80; ++x) {
      ramp.row(0, y)[static_cast<std::size_t>(x)] = static_cast<float>(x);
      ramp.row(1, y)[static_cast<std::size_t>(x)] = static_cast<float>(y);
    }
  const nn::Transform crop = nn::random_resized_crop(8, {.values = nn::PixelValues::exact});
  Rng rng(4);
  double smallest = 1.0, largest = 0.0, narrowest = 9.0, widest = 0.0, left = 99.0, right = 0.0;
  for (int draw = 0; draw < 3000; ++draw) {
    nn::Image image = ramp;
    crop(image, rng);
    REQUIRE(extents(image) == std::vector<std::int64_t>{2, 8, 8});
    // Inside, neighbours are w / 8 apart (and h / 8).
    const double w = (image.row(0, 4)[5] - image.row(0, 4)[2]) / 3.0 * 8.0;
    const double h = (image.row(1, 5)[4] - image.row(1, 2)[4]) / 3.0 * 8.0;
    const double area = w * h / 4800.0, ratio = w / h;
    smallest = std::min(smallest, area), largest = std::max(largest, area);
    narrowest = std::min(narrowest, ratio), widest = std::max(widest, ratio);
    left = std::min<double>(left, image.row(0, 0)[0]);
    right = std::max<double>(right, image.row(0, 0)[7]);
  }
  CHECK(smallest == doctest::Approx(0.08).epsilon(0.1));
  CHECK(largest > 0.9);
  CHECK(largest < 1.01);
  CHECK(narrowest == doctest::Approx(0.75).epsilon(0.05));
  CHECK(widest == doctest::Approx(4.0 / 3.0).epsilon(0.05));
  CHECK(left < 2.0);
  CHECK(right > 77.0);
}

TEST_CASE("random_resized_crop takes the middle of images that no window fits into") {
  const nn::Transform crop = nn::random_resized_crop(
      3, {.scale_min = 1.0, .scale_max = 1.0, .values = nn::PixelValues::exact});
  nn::Image wide = numbered(1, 3, 9);  // the middle 3 x 4, from column 2 on
  Rng rng(1);
  crop(wide, rng);
  nn::Image middle = numbered(1, 3, 9);
  middle.resize(1, 3, 4);
  for (std::int64_t y = 0; y < 3; ++y)
    for (std::int64_t x = 0; x < 4; ++x)
      middle.row(0, y)[static_cast<std::size_t>(x)] = static_cast<float>(y * 9 + x + 3);
  CHECK(wide.pixels ==
        after(middle, nn::resize({3, 3}, {.values = nn::PixelValues::exact})).pixels);
  CHECK_THROWS_AS(nn::random_resized_crop(0), Error);
  CHECK_THROWS_AS(nn::random_resized_crop(3, {.scale_min = 0.0}), Error);
  CHECK_THROWS_AS(nn::random_resized_crop(3, {.ratio_min = 2.0}), Error);
}

TEST_SUITE_END();
