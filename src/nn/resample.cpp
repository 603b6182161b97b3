#include "nn/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace rung::nn {
namespace {

// Pillow computes bytes with whole numbers: weights have 22 binary places. Their products with
// bytes and the sums of these are exact in double.
constexpr double kOne = 1 << 22;

/// Which pixels of a line a pixel of the resized line is made of, and their weights.
struct Sum {
  std::int64_t first = 0;
  std::vector<double> weights;
};

/// Returns the sums of `count` pixels from `begin` on, of a line that is resized from `from` to
/// `to`.
std::vector<Sum> sums_of(std::int64_t from, std::int64_t to, std::int64_t begin, std::int64_t count,
                         PixelValues values) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double reach = std::max(scale, 1.0);  // of the triangle, to either side
  std::vector<Sum> sums(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    Sum& sum = sums[static_cast<std::size_t>(i)];
    const double center = (static_cast<double>(begin + i) + 0.5) * scale;
    sum.first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - reach + 0.5));
    const std::int64_t end = std::min(from, static_cast<std::int64_t>(center + reach + 0.5));
    double total = 0.0;
    for (std::int64_t x = sum.first; x < end; ++x) {
      const double distance = std::abs((static_cast<double>(x) - center + 0.5) * (1.0 / reach));
      sum.weights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
      total += sum.weights.back();
    }
    for (double& weight : sum.weights) {
      weight /= total;
      if (values == PixelValues::bytes) weight = std::floor(weight * kOne + 0.5);
    }
  }
  return sums;
}

/// Makes a byte of a sum of bytes, rounded half up.
float to_byte(double sum) {
  return static_cast<float>(std::clamp(std::floor((sum + kOne / 2) / kOne), 0.0, 255.0));
}

/// The pixels of a line that sums are made of.
struct Range {
  std::int64_t begin = 0, end = 0;
  std::size_t size() const { return static_cast<std::size_t>(end - begin); }
};

Range range_of(const std::vector<Sum>& sums) {
  return {sums.front().first, sums.back().first + std::ssize(sums.back().weights)};
}

/// Resizes lines of `used.size()` pixels from left to right. Bytes are 0 to 255 here.
void across(std::span<const float> lines, const std::vector<Sum>& sums, const Range& used,
            bool bytes, float* target) {
  for (std::size_t begin = 0; begin < lines.size(); begin += used.size())
    for (const Sum& sum : sums) {
      const float* x = lines.data() + begin + (sum.first - used.begin);
      double total = 0.0;
      for (const double weight : sum.weights) total += weight * *x++;
      *target++ = bytes ? to_byte(total) : static_cast<float>(total);
    }
}

/// Resizes `used.size()` lines of `width` pixels from top to bottom.
void down(std::span<const float> lines, std::size_t width, const std::vector<Sum>& sums,
          const Range& used, bool bytes, float* target) {
  std::vector<double> totals(width);
  for (const Sum& sum : sums) {
    const float* x = lines.data() + static_cast<std::size_t>(sum.first - used.begin) * width;
    std::ranges::fill(totals, 0.0);
    for (const double weight : sum.weights)
      for (double& total : totals) total += weight * *x++;
    for (const double total : totals)
      *target++ = bytes ? to_byte(total) : static_cast<float>(total);
  }
}

/// Pillow 13 begins with the columns if that takes away much more lines than the other way round;
/// the bytes in between make that visible. Older ones always began with the rows.
bool begins_down(const Image& image, const ImageSize& size) {
  return size.height < image.height && image.height - size.height > 2 * (image.width - size.width);
}

}  // namespace

void resample(Image& image, const ImageSize& size, const Window& window, PixelValues values) {
  const bool bytes = values == PixelValues::bytes;
  const std::vector<Sum> columns =
      sums_of(image.width, size.width, window.left, window.width, values);
  const std::vector<Sum> rows =
      sums_of(image.height, size.height, window.top, window.height, values);
  const Range across_used = range_of(columns), down_used = range_of(rows);
  const auto width = static_cast<std::size_t>(window.width);
  const auto height = static_cast<std::size_t>(window.height);
  const bool down_first = begins_down(image, size);
  std::vector<float> source(across_used.size() * down_used.size());
  std::vector<float> between(down_first ? across_used.size() * height : width * down_used.size());
  image.scratch.resize(static_cast<std::size_t>(image.channels) * width * height);
  float* target = image.scratch.data();
  for (std::int64_t c = 0; c < image.channels; ++c, target += width * height) {
    float* x = source.data();
    for (std::int64_t y = down_used.begin; y < down_used.end; ++y)
      for (const float pixel :
           image.row(c, y).subspan(static_cast<std::size_t>(across_used.begin), across_used.size()))
        *x++ = bytes ? pixel * 255.0f : pixel;  // k / 255 times 255 is k, also in float
    if (down_first) {
      down(source, across_used.size(), rows, down_used, bytes, between.data());
      across(between, columns, across_used, bytes, target);
    } else {
      across(source, columns, across_used, bytes, between.data());
      down(between, width, rows, down_used, bytes, target);
    }
  }
  if (bytes)
    for (float& pixel : image.scratch) pixel /= 255.0f;
  image.pixels.swap(image.scratch);
  image.height = window.height;
  image.width = window.width;
}

}  // namespace rung::nn
