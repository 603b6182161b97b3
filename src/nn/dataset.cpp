#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "rung/nn/data.h"

namespace rung::nn {
namespace {

class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices)
      : dataset_(std::move(dataset)), indices_(std::move(indices)) {
    require(dataset_ != nullptr, "subset: there is no dataset");
    for (const std::int64_t index : indices_)
      require(index >= 0 && index < dataset_->size(), "subset: index {} is outside of [0, {})",
              index, dataset_->size());
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  Shape image_shape() const override { return dataset_->image_shape(); }
  std::int64_t num_classes() const override { return dataset_->num_classes(); }
  std::int64_t get(std::int64_t index, Image& image) const override {
    return dataset_->get(original(index), image);
  }
  std::int64_t label(std::int64_t index) const override { return dataset_->label(original(index)); }
  std::string name(std::int64_t index) const override { return dataset_->name(original(index)); }
  std::vector<std::string> class_names() const override { return dataset_->class_names(); }
  Shape target_shape() const override { return dataset_->target_shape(); }
  void target(std::int64_t index, std::span<float> target) const override {
    dataset_->target(original(index), target);
  }

 private:
  std::int64_t original(std::int64_t index) const {
    require(index >= 0 && index < size(), "subset: image {} is outside of [0, {})", index, size());
    return indices_[static_cast<std::size_t>(index)];
  }

  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> indices_;
};

}  // namespace

std::int64_t Dataset::label(std::int64_t index) const {
  Image image;
  return get(index, image);
}

std::string Dataset::name(std::int64_t index) const { return fmt::format("image {}", index); }

void Dataset::target(std::int64_t, std::span<float>) const {
  fail("Dataset::target: a dataset that has a target_shape must give targets");
}

InMemoryDataset::InMemoryDataset(Shape image_shape, std::int64_t num_classes,
                                 std::vector<std::uint8_t> pixels, std::vector<std::uint8_t> labels)
    : image_shape_(std::move(image_shape)),
      num_classes_(num_classes),
      pixels_(std::move(pixels)),
      labels_(std::move(labels)) {
  require(image_shape_.rank() == 3 && image_shape_.numel() > 0,
          "InMemoryDataset: images must be [C, H, W], got {}", image_shape_);
  const auto per_image = static_cast<std::size_t>(image_shape_.numel());
  require(pixels_.size() % per_image == 0 && pixels_.size() / per_image == labels_.size(),
          "InMemoryDataset: {} labels need as many images {}, got {} bytes", labels_.size(),
          image_shape_, pixels_.size());
  for (std::size_t i = 0; i < labels_.size(); ++i)
    require(labels_[i] < num_classes_, "InMemoryDataset: label {} of image {} is not in [0, {})",
            labels_[i], i, num_classes_);
}

std::int64_t InMemoryDataset::size() const { return static_cast<std::int64_t>(labels_.size()); }

std::int64_t InMemoryDataset::get(std::int64_t index, Image& image) const {
  require(index >= 0 && index < size(), "InMemoryDataset: image {} is outside of [0, {})", index,
          size());
  image.resize(image_shape_[0], image_shape_[1], image_shape_[2]);
  const std::size_t per_image = image.pixels.size();
  const std::uint8_t* source = pixels_.data() + static_cast<std::size_t>(index) * per_image;
  float* pixels = image.pixels.data();
  for (std::size_t i = 0; i < per_image; ++i) pixels[i] = static_cast<float>(source[i]) / 255.0f;
  return labels_[static_cast<std::size_t>(index)];
}

std::int64_t InMemoryDataset::label(std::int64_t index) const {
  require(index >= 0 && index < size(), "InMemoryDataset: image {} is outside of [0, {})", index,
          size());
  return labels_[static_cast<std::size_t>(index)];
}

std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                      std::vector<std::int64_t> indices) {
  return std::make_shared<Subset>(std::move(dataset), std::move(indices));
}

std::shared_ptr<const Dataset> take(std::shared_ptr<const Dataset> dataset, std::int64_t count) {
  require(dataset != nullptr && count >= 0,
          "take: needs a dataset and a count that is not negative, got {}", count);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(std::min(count, dataset->size())));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return subset(std::move(dataset), std::move(indices));
}

}  // namespace rung::nn
