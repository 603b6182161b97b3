#include <utility>

#include "core/check.h"
#include "datasets/idx.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

constexpr std::int64_t kEdge = 28;
constexpr std::int64_t kClasses = 10;

}  // namespace

std::shared_ptr<const nn::Dataset> fashion_mnist(Split split, const FashionMnistOptions& options) {
  const std::string prefix = options.dir + (split == Split::train ? "/train" : "/t10k");
  const std::string remedy =
      "install it with `apt-get install dataset-fashion-mnist`, or name the directory that holds "
      "the four IDX files (--data DIR)";
  Idx images = read_idx(prefix + "-images-idx3-ubyte", 3, remedy);
  Idx labels = read_idx(prefix + "-labels-idx1-ubyte", 1, remedy);
  require(images.dims[1] == kEdge && images.dims[2] == kEdge,
          "{}: images must be {}x{}, the header says {}x{}", images.path, kEdge, kEdge,
          images.dims[1], images.dims[2]);
  require(images.dims[0] == labels.dims[0],
          "{} has {} images, but {} has {} labels: they do not belong together", images.path,
          images.dims[0], labels.path, labels.dims[0]);
  for (std::size_t i = 0; i < labels.data.size(); ++i)
    require(labels.data[i] < kClasses, "{}: label {} of image {} is outside of [0, {})",
            labels.path, labels.data[i], i, kClasses);
  return std::make_shared<nn::InMemoryDataset>(Shape{1, kEdge, kEdge}, kClasses,
                                               std::move(images.data), std::move(labels.data));
}

}  // namespace rung::datasets
