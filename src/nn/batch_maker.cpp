#include "nn/batch_maker.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace rung::nn {

std::int64_t batches_per_epoch(const DataLoaderOptions& options) {
  const std::int64_t full = options.dataset->size() / options.batch_size;
  const bool rest = options.dataset->size() % options.batch_size != 0;
  return full + (rest && !options.drop_last ? 1 : 0);
}

namespace {

/// Cuts off the part of a tensor that no image came for.
void shrink(Tensor& tensor, std::int64_t images) {
  if (!tensor.defined()) return;
  Tensor rest(tensor.shape().with(0, images));
  std::ranges::copy(tensor.data().first(rest.data().size()), rest.data().begin());
  tensor = rest;
}

/// Returns memory for the targets of so many images, or nothing if the dataset has none.
Tensor room_for_targets(const Dataset& dataset, std::int64_t images) {
  const Shape shape = dataset.target_shape();
  if (shape.rank() == 0) return {};
  std::vector<std::int64_t> extents{images};
  extents.insert(extents.end(), shape.dims().begin(), shape.dims().end());
  return Tensor(Shape(std::move(extents)));
}

}  // namespace

BatchMaker::BatchMaker(const DataLoaderOptions& options, const Rng& rng, std::int64_t epoch)
    : options_(options), order_(static_cast<std::size_t>(options.dataset->size())) {
  const Shape image_shape = options.dataset->image_shape();
  require(image_shape.rank() == 3, "DataLoader: images must be [C, H, W], got {}", image_shape);
  const Rng epoch_rng = rng.split(static_cast<std::uint64_t>(epoch));
  sample_rng_ = epoch_rng.split("sample");
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  if (options_.shuffle) epoch_rng.split("order").shuffle(order_);
}

/// Gets one image and transforms it; returns false, after a note in the batch, if it is skipped.
bool BatchMaker::load(std::int64_t sample, Image& image, Batch& batch) const {
  const Dataset& dataset = *options_.dataset;
  try {
    batch.labels.push_back(dataset.get(sample, image));
  } catch (const Error& error) {
    if (options_.on_error == OnError::raise) throw;
    batch.skipped.push_back({sample, error.what()});
    return false;
  }
  if (options_.transform) {
    Rng rng = sample_rng_.split(static_cast<std::uint64_t>(sample));
    try {
      options_.transform(image, rng);
    } catch (const Error& error) {
      fail("{}: {}", dataset.name(sample), error.what());
    }
  }
  require(
      static_cast<std::int64_t>(image.pixels.size()) == image.channels * image.height * image.width,
      "DataLoader: {} pixels in an image of {}x{}x{} ({})", image.pixels.size(), image.channels,
      image.height, image.width, dataset.name(sample));
  return true;
}

Batch BatchMaker::make(std::int64_t index, Image& image, const std::stop_token& stop) const {
  const std::int64_t begin = index * options_.batch_size;
  const std::int64_t end = std::min(begin + options_.batch_size, options_.dataset->size());
  Batch batch;
  for (std::int64_t i = begin; i < end && !stop.stop_requested(); ++i) {
    const std::int64_t sample = order_[static_cast<std::size_t>(i)];
    if (!load(sample, image, batch)) continue;
    // Images may differ until they are transformed: the first one decides, the others must agree.
    const std::int64_t slot = batch.size() - 1;
    if (slot == 0) {
      batch.images = Tensor(Shape{end - begin, image.channels, image.height, image.width});
      batch.targets = room_for_targets(*options_.dataset, end - begin);
    }
    const Shape& shape = batch.images.shape();
    require(image.channels == shape[1] && image.height == shape[2] && image.width == shape[3],
            "DataLoader: {} came out as {}x{}x{}, but its batch is {}: add a crop or resize to the "
            "transform",
            options_.dataset->name(sample), image.channels, image.height, image.width, shape);
    const std::size_t offset = static_cast<std::size_t>(slot) * image.pixels.size();
    std::ranges::copy(image.pixels, batch.images.data().subspan(offset).begin());
    batch.indices.push_back(sample);
    if (!batch.targets.defined()) continue;
    const std::size_t numbers = batch.targets.data().size() / static_cast<std::size_t>(end - begin);
    const std::span<float> targets = batch.targets.data();
    options_.dataset->target(sample,
                             targets.subspan(static_cast<std::size_t>(slot) * numbers, numbers));
  }
  if (batch.size() > 0 && batch.size() < batch.images.size(0)) {
    shrink(batch.images, batch.size());
    shrink(batch.targets, batch.size());
  }
  return batch;
}

}  // namespace rung::nn
