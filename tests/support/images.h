#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "io/tensors/npy_read.h"
#include "doctest/doctest.h"
#include "io/tensors/dtype.h"
#include "rung/nn/transforms.h"
#include "support/paths.h"

// Images of tests/golden/images and what Pillow and torchvision made of them.

namespace images {

/// Returns the path of a file in tests/golden/images.
inline std::string path(const std::string& name) { return paths::golden_dir() + "/images/" + name; }

/// Returns the bytes of such a file.
inline std::string bytes(const std::string& name) {
  std::ifstream in(path(name), std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Array {
  std::vector<std::int64_t> dims;
  std::vector<float> values;  ///< bytes are divided by 255
};

/// Returns the array in tests/golden/images/<name>.npy.
inline Array expected(const std::string& name) {
  const rung::io::Npy npy = rung::io::read_npy(path(name + ".npy"));
  Array array{npy.dims, {}};
  std::int64_t count = 1;
  for (const std::int64_t extent : npy.dims) count *= extent;
  array.values.resize(static_cast<std::size_t>(count));
  rung::io::to_floats(npy.dtype, npy.data, array.values);
  if (npy.dtype == rung::io::Dtype::U8)
    for (float& x : array.values) x /= 255.0f;
  return array;
}

struct Difference {
  double largest = 0.0, mean = 0.0;
};

/// Compares pixels; sizes must agree.
inline Difference difference(std::span<const float> got, std::span<const float> wanted) {
  REQUIRE(got.size() == wanted.size());
  Difference difference;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - wanted[i]);
    difference.largest = std::max(difference.largest, d);
    difference.mean += d / static_cast<double>(got.size());
  }
  return difference;
}

inline Difference difference(const rung::nn::Image& image, const Array& wanted) {
  REQUIRE(wanted.dims == std::vector<std::int64_t>{image.channels, image.height, image.width});
  return difference(image.pixels, wanted.values);
}

}  // namespace images
