#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/nn/data.h"

// What tests of training share.

namespace rung::test {

/// Noisy images whose brightest of every four columns is the label.
inline std::shared_ptr<const nn::Dataset> columns(std::int64_t count, const Shape& image) {
  Rng rng(17);
  std::vector<std::uint8_t> pixels, labels;
  for (std::int64_t i = 0; i < count; ++i) {
    labels.push_back(static_cast<std::uint8_t>(rng.below(4)));
    for (std::int64_t p = 0; p < image.numel(); ++p)
      pixels.push_back(
          static_cast<std::uint8_t>(rng.below(100) + (p % 4 == labels.back() ? 120 : 0)));
  }
  return std::make_shared<nn::InMemoryDataset>(image, 4, pixels, labels);
}

/// All numbers of all parameters, in their order.
inline std::vector<float> values(const Graph& graph) {
  std::vector<float> all;
  for (const Parameter* parameter : graph.parameters())
    all.insert(all.end(), parameter->value().data().begin(), parameter->value().data().end());
  return all;
}

}  // namespace rung::test
