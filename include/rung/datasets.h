#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/nn/data.h"

namespace rung {

/// Which part of a dataset.
enum class Split { train, test };
RUNG_API std::string_view to_string(Split split);

}  // namespace rung

namespace rung::datasets {

using rung::Split;

struct FashionMnistOptions {
  std::string dir = "/usr/share/datasets/fashion-mnist";  ///< of Debian's dataset-fashion-mnist
};

/// Reads Fashion-MNIST (Xiao et al. 2017): 60000 + 10000 grey images [1, 28, 28] of 10 kinds of
/// clothes, from the four IDX files in `dir`, compressed (.gz) or not. Throws Error, naming the
/// file, if one is missing, damaged or contradicts the other.
RUNG_API std::shared_ptr<const nn::Dataset> fashion_mnist(Split split,
                                                          const FashionMnistOptions& options = {});

/// What there is to know about a dataset before reading it.
struct DatasetInfo {
  std::string name;         ///< for make() and the command line
  std::string description;  ///< one line
  std::int64_t classes = 0;
  Shape image_shape;             ///< [C, H, W]
  std::vector<float> mean, std;  ///< per channel, of the training images: for nn::normalize
  std::string default_dir;
};

/// Lists the datasets that make() knows.
RUNG_API std::vector<DatasetInfo> list();
/// Returns the named one; throws Error with the known names if there is none.
RUNG_API DatasetInfo info(std::string_view name);
/// Reads a dataset by name, from its default directory if `dir` is empty.
RUNG_API std::shared_ptr<const nn::Dataset> make(std::string_view name, Split split,
                                                 const std::string& dir = {});

}  // namespace rung::datasets
