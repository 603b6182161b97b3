#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "golden/golden_network.h"
#include "rung/ops/tuning.h"

// The golden network with golden weights.

namespace golden {

/// Makes a tensor of the library from a golden one.
inline rung::Tensor tensor(const Tensor& source) {
  return rung::Tensor(rung::Shape(source.shape), std::span<const float>(source.floats));
}

/// Returns the algorithm that training runs in these suites: direct, or what the environment
/// variable RUNG_TEST_CONV_ALGORITHM says.
inline rung::ConvAlgorithm conv_algorithm() {
  const char* name = std::getenv("RUNG_TEST_CONV_ALGORITHM");
  return rung::parse_conv_algorithm(name != nullptr && *name != '\0' ? name : "direct");
}

/// Lists the names of the golden files in a folder that begin with `prefix`, sorted.
inline std::vector<std::string> files(std::string_view folder, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path(folder)))
    if (entry.path().filename().string().starts_with(prefix))
      names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

/// Builds the network of a folder network/, with channel counts and weights from a safetensors file
/// in it.
inline rung::Graph network(const std::string& weights_file) {
  const std::string folder = weights_file.substr(0, weights_file.rfind('/') + 1);
  const Tensors weights = tensors(weights_file);
  rung::test::GoldenNetwork sizes;
  sizes.stem_channels = weights.at("conv1.weight").shape.at(0);
  sizes.in_channels = weights.at("conv1.weight").shape.at(1);
  sizes.num_classes = weights.at("fc.weight").shape.at(0);
  sizes.image_size = tensors(folder + "data.safetensors").at("x0").shape.at(2);
  sizes.block_channels.clear();
  for (int layer = 1;; ++layer) {
    const std::string name = "layer" + std::to_string(layer) + ".0.conv1.weight";
    if (!weights.contains(name)) break;
    sizes.block_channels.push_back(weights.at(name).shape.at(0));
  }
  rung::Graph graph = rung::test::golden_network(sizes);
  for (rung::Parameter* parameter : graph.parameters())
    parameter->edit().copy_from(tensor(weights.at(parameter->name())));
  check_all_used(weights);
  return graph;
}

/// Returns the largest distance between numbers at the same place; the shapes must be the same.
inline double largest_difference(const rung::ConstTensor& a, const rung::ConstTensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0.0;
  for (std::size_t i = 0; i < a.data().size(); ++i)
    largest = std::max(largest, std::abs(double{a.data()[i]} - b.data()[i]));
  return largest;
}

}  // namespace golden
