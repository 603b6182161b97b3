#pragma once

#include <cstdint>
#include <memory>

#include "options.h"
#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/nn/data.h"
#include "task.h"

namespace rung::cli {

/// How training images are varied; off for everything else.
struct Augmentation {
  bool on = true;                 ///< shift and mirror
  std::int64_t crop_padding = 2;  ///< pixels by which an image is shifted at most
  double random_erasing = 0.0;    ///< probability
};

/// Makes the loaders of a task. Images are normalized as the task says; everything random comes
/// from the seed.
class Data {
 public:
  /// Changes the task's dataset to options.dataset unless that is empty.
  Data(Task task, DataOptions data, RunOptions run);
  const Task& task() const { return task_; }

  nn::DataLoader train(const Augmentation& augmentation) const;
  nn::DataLoader test() const;
  /// Randomly chosen training images, not augmented.
  nn::DataLoader calibration(std::int64_t images) const;

  /// Throws Error unless the images fit the input and the classes the output of the graph.
  void check_fits(const Graph& graph) const;

 private:
  std::shared_ptr<const nn::Dataset> read(Split split) const;
  nn::DataLoader plain_loader(std::shared_ptr<const nn::Dataset> dataset) const;

  Task task_;
  DataOptions data_;
  RunOptions run_;
  Rng rng_;
};

}  // namespace rung::cli
