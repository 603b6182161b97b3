#include "datasets/statistics.h"

#include <algorithm>
#include <cmath>

namespace rung::datasets {

Statistics pixel_statistics(const nn::Dataset& dataset) {
  const auto channels = static_cast<std::size_t>(dataset.image_shape()[0]);
  std::vector<double> sums(channels), squares(channels);
  double count = 0.0;
  nn::Image image;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    dataset.get(i, image);
    for (std::size_t c = 0; c < channels; ++c)
      for (const float x : image.channel(static_cast<std::int64_t>(c))) {
        sums[c] += x;
        squares[c] += static_cast<double>(x) * x;
      }
    count += static_cast<double>(image.height * image.width);
  }
  Statistics statistics;
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sums[c] / count;
    const double std = std::sqrt(std::max(squares[c] / count - mean * mean, 0.0));
    statistics.mean.push_back(static_cast<float>(mean));
    statistics.std.push_back(std > 1e-6 ? static_cast<float>(std) : 1.0f);
  }
  return statistics;
}

}  // namespace rung::datasets
