#pragma once

#include <vector>

#include "rung/nn/data.h"

namespace rung::datasets {

struct Statistics {
  std::vector<float> mean, std;  ///< per channel
};

/// Returns mean and standard deviation of all pixels, 1 where a channel does not vary.
Statistics pixel_statistics(const nn::Dataset& dataset);

}  // namespace rung::datasets
