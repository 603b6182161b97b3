#include "nn/batch_maker.h"

#include <algorithm>
#include <numeric>

#include "core/format.h"

namespace rung::nn {

std::int64_t batches_per_epoch(const DataLoaderOptions& options) {
  const std::int64_t full = options.dataset->size() / options.batch_size;
  const bool rest = options.dataset->size() % options.batch_size != 0;
  return full + (rest && !options.drop_last ? 1 : 0);
}

BatchMaker::BatchMaker(const DataLoaderOptions& options, const Rng& rng, std::int64_t epoch)
    : options_(options),
      image_shape_(options.dataset->image_shape()),
      order_(static_cast<std::size_t>(options.dataset->size())) {
  require(image_shape_.rank() == 3, "DataLoader: images must be [C, H, W], got {}", image_shape_);
  const Rng epoch_rng = rng.split(static_cast<std::uint64_t>(epoch));
  sample_rng_ = epoch_rng.split("sample");
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  if (options_.shuffle) epoch_rng.split("order").shuffle(order_);
}

void BatchMaker::load(std::int64_t sample, Image& image, std::int64_t& label) const {
  image.resize(image_shape_[0], image_shape_[1], image_shape_[2]);
  label = options_.dataset->get(sample, image.pixels);
  if (!options_.transform) return;
  Rng rng = sample_rng_.split(static_cast<std::uint64_t>(sample));
  options_.transform(image, rng);
  require(
      static_cast<std::int64_t>(image.pixels.size()) == image.channels * image.height * image.width,
      "DataLoader: the transform left {} pixels in an image of {}x{}x{}", image.pixels.size(),
      image.channels, image.height, image.width);
}

Batch BatchMaker::make(std::int64_t index, Image& image, const std::stop_token& stop) const {
  const std::int64_t begin = index * options_.batch_size;
  const std::int64_t end = std::min(begin + options_.batch_size, options_.dataset->size());
  Batch batch;
  batch.labels.resize(static_cast<std::size_t>(end - begin));
  for (std::int64_t i = begin; i < end && !stop.stop_requested(); ++i) {
    const auto slot = static_cast<std::size_t>(i - begin);
    const std::int64_t sample = order_[static_cast<std::size_t>(i)];
    load(sample, image, batch.labels[slot]);
    // Transforms may change the shape: the first image decides, the others must agree.
    if (slot == 0)
      batch.images = Tensor(Shape{end - begin, image.channels, image.height, image.width});
    const Shape& shape = batch.images.shape();
    require(image.channels == shape[1] && image.height == shape[2] && image.width == shape[3],
            "DataLoader: image {} came out as {}x{}x{}, but its batch is {}: add a crop or resize "
            "to the transform",
            sample, image.channels, image.height, image.width, shape);
    std::ranges::copy(image.pixels,
                      batch.images.data().subspan(slot * image.pixels.size()).begin());
  }
  return batch;
}

}  // namespace rung::nn
