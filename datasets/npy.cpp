#include "datasets/npy.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "core/join.h"
#include "datasets/parts.h"
#include "io/tensors/dtype.h"
#include "io/tensors/npy_read.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

constexpr std::int64_t kMaxClasses = 1 << 20;

std::vector<std::int64_t> read_labels(const std::string& path) {
  const io::Npy npy = io::read_npy(path);
  require(io::converts_to_integer(npy.dtype) && npy.dims.size() == 1,
          "{}: labels must be integers [N], got {} dimensions of {}", path, npy.dims.size(),
          to_string(npy.dtype));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(npy.dims[0]));
  const bool fits = io::to_integers(npy.dtype, npy.data, labels);
  for (std::size_t i = 0; i < labels.size(); ++i)
    require(fits && labels[i] >= 0 && labels[i] < kMaxClasses,
            "{}: label {} of image {} is outside of [0, {})", path, labels[i], i, kMaxClasses);
  return labels;
}

std::string file_in(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

bool has_labels(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::exists(file_in(folder, "labels.npy"), ignored);
}

/// Keeps the array as it was stored: a quarter of the memory for bytes.
class NpyDataset final : public nn::Dataset {
 public:
  NpyDataset(const std::string& folder, std::int64_t classes)
      : path_(file_in(folder, "images.npy")),
        images_(io::read_npy(path_)),
        classes_(has_labels(folder) ? classes : 0) {
    if (images_.dims.size() == 3) images_.dims.insert(images_.dims.begin() + 1, 1);
    require(images_.dims.size() == 4 && std::ranges::min(images_.dims) > 0,
            "{}: images must be [N, C, H, W] or [N, H, W], got [{}]", path_, join(images_.dims));
    require(images_.dtype == io::Dtype::U8 || images_.dtype == io::Dtype::F32,
            "{}: images must be uint8 or float32, got {}", path_, to_string(images_.dtype));
    if (classes_ == 0) {
      labels_.resize(static_cast<std::size_t>(images_.dims[0]));
      return;
    }
    labels_ = read_labels(file_in(folder, "labels.npy"));
    require(images_.dims[0] == static_cast<std::int64_t>(labels_.size()),
            "{}: has {} images, but labels.npy has {} labels: they do not belong together", path_,
            images_.dims[0], labels_.size());
    for (std::size_t i = 0; i < labels_.size(); ++i)
      require(labels_[i] < classes_,
              "{}: label {} of image {} is outside of the [0, {}) of the "
              "training images",
              file_in(folder, "labels.npy"), labels_[i], i, classes_);
  }

  bool holds_floats() const { return images_.dtype == io::Dtype::F32; }
  std::int64_t size() const override { return images_.dims[0]; }
  Shape image_shape() const override { return {images_.dims[1], images_.dims[2], images_.dims[3]}; }
  std::int64_t num_classes() const override { return classes_; }
  std::string name(std::int64_t index) const override {
    return fmt::format("{}: image {}", path_, index);
  }

  std::int64_t label(std::int64_t index) const override {
    require(index >= 0 && index < size(), "npy: image {} is outside of [0, {})", index, size());
    return labels_[static_cast<std::size_t>(index)];
  }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    require(index >= 0 && index < size(), "npy: image {} is outside of [0, {})", index, size());
    image.resize(images_.dims[1], images_.dims[2], images_.dims[3]);
    const std::size_t bytes = images_.data.size() / static_cast<std::size_t>(size());
    const auto source =
        std::span(images_.data).subspan(static_cast<std::size_t>(index) * bytes, bytes);
    io::to_floats(images_.dtype, source, image.pixels);
    if (images_.dtype == io::Dtype::U8)
      for (float& x : image.pixels) x /= 255.0f;
    else
      for (const float x : image.pixels)
        require(std::isfinite(x), "{}: is not finite", name(index));
    return labels_[static_cast<std::size_t>(index)];
  }

 private:
  std::string path_;
  io::Npy images_;
  std::vector<std::int64_t> labels_;
  std::int64_t classes_;
};

/// Counts the classes of the training labels; a test part may stand alone, or alone have labels.
/// Returns 0 if there are none.
std::int64_t count_classes(const std::string& dir) {
  const Parts parts = parts_of(dir);
  const bool in_train = !parts.train.empty() && has_labels(parts.train);
  const std::string& folder = in_train ? parts.train : parts.test;
  if (folder.empty() || !has_labels(folder)) return 0;
  const std::string path = file_in(folder, "labels.npy");
  const std::vector<std::int64_t> labels = read_labels(path);
  require(!labels.empty(), "{}: there are no labels", path);
  return std::ranges::max(labels) + 1;
}

}  // namespace

bool holds_floats(const nn::Dataset& dataset) {
  const auto* arrays = dynamic_cast<const NpyDataset*>(&dataset);
  return arrays != nullptr && arrays->holds_floats();
}

std::shared_ptr<const nn::Dataset> npy(Split split, const std::string& dir) {
  return std::make_shared<NpyDataset>(part_folder(dir, split), count_classes(dir));
}

}  // namespace rung::datasets
