#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/transforms.h"

using namespace rung;

namespace {

// Pixels are numbered from 1, so that a zero is padding.
nn::Image numbered(std::int64_t channels, std::int64_t height, std::int64_t width) {
  nn::Image image;
  image.resize(channels, height, width);
  std::iota(image.pixels.begin(), image.pixels.end(), 1.0f);
  return image;
}

}  // namespace

TEST_SUITE_BEGIN("nn transforms");

TEST_CASE("random_crop cuts every window of the padded image equally often") {
  const nn::Transform crop = nn::random_crop(4, 2);
  Rng rng(7);
  std::map<std::pair<int, int>, int> seen;
  constexpr int kDraws = 25000;
  for (int draw = 0; draw < kDraws; ++draw) {
    nn::Image image = numbered(2, 4, 4);
    crop(image, rng);
    REQUIRE(image.pixels.size() == 32);
    // The corner follows from any pixel that is not padding; the whole window is checked by it.
    int top = 0, left = 0;
    for (int i = 0; i < 16; ++i) {
      const int value = static_cast<int>(image.pixels[static_cast<std::size_t>(i)]) - 1;
      if (value < 0) continue;
      top = value / 4 - i / 4;
      left = value % 4 - i % 4;
    }
    for (int c = 0; c < 2; ++c)
      for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 4; ++x) {
          const int sy = y + top, sx = x + left;
          const bool inside = sy >= 0 && sy < 4 && sx >= 0 && sx < 4;
          const float expected = inside ? static_cast<float>(c * 16 + sy * 4 + sx + 1) : 0.0f;
          REQUIRE(image.pixels[static_cast<std::size_t>(c * 16 + y * 4 + x)] == expected);
        }
    ++seen[{top, left}];
  }
  CHECK(seen.size() == 25);                   // -2..2 in both directions
  for (const auto& [corner, count] : seen) {  // 1000 expected, standard deviation 31
    CHECK(count > 840);
    CHECK(count < 1160);
  }
}

TEST_CASE("random_crop can cut smaller and larger than the image") {
  Rng rng(1);
  nn::Image image = numbered(1, 5, 7);
  nn::random_crop(3)(image, rng);
  CHECK(image.height == 3);
  CHECK(image.width == 3);
  CHECK(image.pixels[1] == image.pixels[0] + 1);
  CHECK(image.pixels[3] == image.pixels[0] + 7);
  nn::Image grown = numbered(1, 2, 2);
  nn::random_crop(6, 2)(grown, rng);  // only one window
  CHECK(grown.pixels[2 * 6 + 2] == 1.0f);
  CHECK(grown.pixels[3 * 6 + 3] == 4.0f);
  CHECK(std::accumulate(grown.pixels.begin(), grown.pixels.end(), 0.0f) == 10.0f);
  nn::Image far = numbered(1, 2, 2);
  for (int i = 0; i < 100; ++i) {  // windows that lie entirely in the padding are legal
    far = numbered(1, 2, 2);
    nn::random_crop(1, 9)(far, rng);
    CHECK(far.pixels.size() == 1);
  }
  nn::Image small = numbered(1, 4, 4);
  CHECK_THROWS_WITH_AS(nn::random_crop(7, 1)(small, rng),
                       "random_crop: cannot cut 7x7 out of an image of 4x4 with padding 1", Error);
  CHECK_THROWS_AS(nn::random_crop(0), Error);
  CHECK_THROWS_AS(nn::random_crop(4, -1), Error);
}

TEST_CASE("random_horizontal_flip mirrors rows with its probability") {
  Rng rng(2);
  int flips = 0;
  for (int draw = 0; draw < 10000; ++draw) {
    nn::Image image = numbered(2, 2, 3);
    nn::random_horizontal_flip(0.25)(image, rng);
    if (image.pixels[0] == 1.0f) continue;
    ++flips;
    REQUIRE(image.pixels == std::vector<float>{3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10});
  }
  CHECK(flips == doctest::Approx(2500).epsilon(0.07));  // 4 standard deviations
  CHECK_THROWS_AS(nn::random_horizontal_flip(1.1), Error);
}

TEST_CASE("normalize subtracts the mean and divides by the standard deviation of each channel") {
  Rng rng(0);
  nn::Image image = numbered(2, 1, 2);
  nn::normalize({1.0f, 2.0f}, {2.0f, 0.5f})(image, rng);
  CHECK(image.pixels == std::vector<float>{0.0f, 0.5f, 2.0f, 4.0f});
  nn::Image grey = numbered(1, 2, 2);
  CHECK_THROWS_WITH_AS(nn::normalize({0, 0}, {1, 1})(grey, rng),
                       "normalize: has statistics of 2 channels, the image has 1", Error);
  CHECK_THROWS_AS(nn::normalize({0}, {0}), Error);
  CHECK_THROWS_AS(nn::normalize({0}, {1, 1}), Error);
  CHECK_THROWS_AS(nn::normalize({}, {}), Error);
}

TEST_CASE("random_erasing overwrites one rectangle of the asked size and shape in all channels") {
  const nn::Transform erase =
      nn::random_erasing({.probability = 1.0, .scale_min = 0.1, .scale_max = 0.3, .value = -1.0f});
  Rng rng(5);
  double share = 0.0, log_ratio = 0.0;
  bool top_row = false, bottom_row = false, left_column = false, right_column = false;
  constexpr int kDraws = 2000;
  for (int draw = 0; draw < kDraws; ++draw) {
    nn::Image image = numbered(2, 20, 30);
    erase(image, rng);
    std::set<std::int64_t> ys, xs;
    std::int64_t erased = 0;
    for (std::int64_t i = 0; i < 600; ++i) {
      const bool hole = image.pixels[static_cast<std::size_t>(i)] == -1.0f;
      REQUIRE(hole == (image.pixels[static_cast<std::size_t>(600 + i)] == -1.0f));
      if (!hole) continue;
      ys.insert(i / 30);
      xs.insert(i % 30);
      ++erased;
    }
    REQUIRE(erased > 0);
    const auto h = static_cast<double>(ys.size()), w = static_cast<double>(xs.size());
    REQUIRE(h * w == static_cast<double>(erased));  // a rectangle
    REQUIRE(erased >= 40);                          // 60 to 180 before rounding of the sides
    REQUIRE(erased <= 215);
    share += static_cast<double>(erased) / 600.0 / kDraws;
    log_ratio += std::log(h / w) / kDraws;
    top_row |= ys.contains(0);
    bottom_row |= ys.contains(19);
    left_column |= xs.contains(0);
    right_column |= xs.contains(29);
  }
  CHECK(share == doctest::Approx(0.2).epsilon(0.1));
  CHECK(std::abs(log_ratio) < 0.15);  // tall and wide equally likely, but tall ones fit less often
  CHECK(top_row);
  CHECK(bottom_row);
  CHECK(left_column);
  CHECK(right_column);
}

TEST_CASE("random_erasing keeps to its probability and leaves images alone that it cannot fit") {
  Rng rng(6);
  int erased = 0;
  for (int draw = 0; draw < 4000; ++draw) {
    nn::Image image = numbered(1, 16, 16);
    nn::random_erasing({.probability = 0.3})(image, rng);
    erased += image.pixels != numbered(1, 16, 16).pixels;
  }
  CHECK(erased == doctest::Approx(1200).epsilon(0.1));
  nn::Image tiny = numbered(1, 1, 1);
  nn::random_erasing({.probability = 1.0, .scale_min = 1.0, .scale_max = 1.0})(tiny, rng);
  CHECK(tiny.pixels[0] == 1.0f);
  CHECK_THROWS_AS(nn::random_erasing({.scale_min = 0.5, .scale_max = 0.4}), Error);
  CHECK_THROWS_AS(nn::random_erasing({.ratio_min = 0.0}), Error);
}

TEST_CASE("compose applies transforms in order, a lambda among them") {
  Rng rng(0);
  nn::Image image = numbered(1, 1, 2);
  const nn::Transform both = nn::compose({nn::normalize({1.0f}, {1.0f}), [](nn::Image& i, Rng&) {
                                            for (float& x : i.pixels) x *= 3.0f;
                                          }});
  both(image, rng);
  CHECK(image.pixels == std::vector<float>{0.0f, 3.0f});
  CHECK_THROWS_AS(nn::compose({nn::Transform()}), Error);
}

TEST_SUITE_END();
