#pragma once

#include "run/task.h"
#include "rung/core/shape.h"
#include "rung/nn/transforms.h"

namespace rung::cli {

/// Returns what is done to the task's images before a model that is not being trained sees them.
nn::Transform evaluation_transform(const Task& task);

/// The same for training images: random windows (images of any size), shifts, mirroring.
struct Augmentation {
  bool on = true;                 ///< shift and mirror
  std::int64_t crop_padding = 2;  ///< pixels by which an image is shifted at most
  double random_erasing = 0.0;    ///< probability
};
nn::Transform training_transform(const Task& task, const Augmentation& augmentation);

/// Returns what makes any picture [3, H, W] an input [1, C, H, W] of the model: as for evaluation,
/// or, if the task's images all have one size, resized to it and made grey if they are.
nn::Transform prediction_transform(const Task& task, const Shape& input);

}  // namespace rung::cli
