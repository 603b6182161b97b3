#include "data.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "rung/core/error.h"

namespace rung::cli {

namespace {

// Divides 10000, so that a test set needs one plan only.
constexpr std::int64_t kTestBatch = 250;

}  // namespace

Data::Data(Task task, DataOptions data, RunOptions run)
    : task_(std::move(task)), data_(std::move(data)), run_(std::move(run)), rng_(run_.seed) {
  if (data_.dataset.empty() || data_.dataset == task_.dataset) return;
  const datasets::DatasetInfo other = datasets::info(data_.dataset);
  task_.dataset = other.name;
  task_.num_classes = other.classes;
  task_.mean = other.mean;
  task_.std = other.std;
}

std::shared_ptr<const nn::Dataset> Data::read(Split split) const {
  std::shared_ptr<const nn::Dataset> dataset = datasets::make(task_.dataset, split, data_.dir);
  const std::int64_t limit = split == Split::train ? data_.train_images : data_.test_images;
  return limit > 0 ? nn::take(std::move(dataset), limit) : dataset;
}

nn::DataLoader Data::train(const Augmentation& augmentation) const {
  std::shared_ptr<const nn::Dataset> dataset = read(Split::train);
  std::vector<nn::Transform> steps;
  if (augmentation.on) {
    steps.push_back(nn::random_crop(dataset->image_shape()[1], augmentation.crop_padding));
    steps.push_back(nn::random_horizontal_flip());
  }
  steps.push_back(nn::normalize(task_.mean, task_.std));
  if (augmentation.random_erasing > 0)
    steps.push_back(nn::random_erasing({.probability = augmentation.random_erasing}));
  return nn::DataLoader({.dataset = std::move(dataset),
                         .transform = nn::compose(std::move(steps)),
                         .batch_size = data_.batch_size,
                         .shuffle = true,
                         .workers = run_.workers},
                        rng_.split("data"));
}

nn::DataLoader Data::plain_loader(std::shared_ptr<const nn::Dataset> dataset) const {
  return nn::DataLoader({.dataset = std::move(dataset),
                         .transform = nn::normalize(task_.mean, task_.std),
                         .batch_size = kTestBatch,
                         .workers = run_.workers});
}

nn::DataLoader Data::test() const { return plain_loader(read(Split::test)); }

nn::DataLoader Data::calibration(std::int64_t images) const {
  std::shared_ptr<const nn::Dataset> dataset = read(Split::train);
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset->size()));
  std::iota(order.begin(), order.end(), 0);
  rng_.split("calibration").shuffle(order);
  order.resize(std::min(order.size(), static_cast<std::size_t>(images)));
  return plain_loader(nn::subset(std::move(dataset), std::move(order)));
}

void Data::check_fits(const Graph& graph) const {
  const Shape images = datasets::info(task_.dataset).image_shape;
  if (graph.inputs().size() != 1 || graph.outputs().size() != 1)
    throw Error(fmt::format("the model has {} inputs and {} outputs; classifying needs one of each",
                            graph.inputs().size(), graph.outputs().size()));
  const Shape& input = graph.inputs()[0]->shape();
  const Shape& output = graph.outputs()[0]->shape();
  if (input.rank() != 4 || input[1] != images[0] || input[2] != images[1] || input[3] != images[2])
    throw Error(fmt::format("the model takes images {}, {} has {} images", input.to_string(),
                            task_.dataset, images.to_string()));
  if (output.rank() != 2 || output[1] != task_.num_classes)
    throw Error(fmt::format("the model's output is {}, {} has {} classes", output.to_string(),
                            task_.dataset, task_.num_classes));
}

}  // namespace rung::cli
