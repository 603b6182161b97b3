#include "run/preprocess.h"

#include <utility>
#include <vector>

namespace rung::cli {

namespace {

/// Pictures have three channels; a network for grey ones gets them grey.
nn::Transform from_picture(const Task& task, nn::Transform rest) {
  if (task.mean.size() != 1) return rest;
  return nn::compose({nn::grayscale(), std::move(rest)});
}

}  // namespace

nn::Transform evaluation_transform(const Task& task) {
  if (task.resize == 0) return nn::normalize(task.mean, task.std);
  const nn::ImagenetStatistics statistics{.mean = task.mean, .std = task.std};
  return from_picture(
      task, nn::imagenet_eval(
                {.size = task.image_size, .resize = task.resize, .statistics = statistics}));
}

nn::Transform training_transform(const Task& task, const Augmentation& augmentation) {
  std::vector<nn::Transform> steps;
  if (augmentation.on && task.resize > 0) {
    steps.push_back(from_picture(
        task, nn::imagenet_train(
                  {.size = task.image_size, .statistics = {.mean = task.mean, .std = task.std}})));
  } else {
    if (augmentation.on) {
      steps.push_back(nn::random_crop(task.image_size, augmentation.crop_padding));
      steps.push_back(nn::random_horizontal_flip());
    }
    steps.push_back(evaluation_transform(task));
  }
  if (augmentation.random_erasing > 0)
    steps.push_back(nn::random_erasing({.probability = augmentation.random_erasing}));
  return nn::compose(std::move(steps));
}

nn::Transform prediction_transform(const Task& task, const Shape& input) {
  if (task.resize > 0) return evaluation_transform(task);
  std::vector<nn::Transform> steps;
  if (input[1] == 1) steps.push_back(nn::grayscale());
  steps.push_back(nn::resize(nn::ImageSize{input[2], input[3]}));
  steps.push_back(evaluation_transform(task));
  return nn::compose(std::move(steps));
}

}  // namespace rung::cli
