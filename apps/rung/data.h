#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>

#include "checkpoints.h"
#include "console.h"
#include "options.h"
#include "preprocess.h"
#include "report.h"
#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/nn/data.h"
#include "task.h"

namespace rung::cli {

/// Makes the loaders of a task. Images are normalized as the task says; everything random comes
/// from the seed.
class Data {
 public:
  /// Changes the task's dataset to options.dataset unless that is empty, and its normalization to
  /// what the options say. Loaders throw Error if
  /// what the folder holds does not fit the task.
  Data(Task task, DataOptions data, RunOptions run);
  const Task& task() const { return task_; }
  /// Returns which images train() delivers, in which order: for checkpoints.
  Configuration configuration() const;

  nn::DataLoader train(const Augmentation& augmentation) const;
  nn::DataLoader test() const;
  /// Says why the labels of the images mean nothing to the model; empty if they do. Calibration goes
  /// without labels.
  std::string labels_unfit() const;
  /// The images that --data names: those of the part that the folder is, else the test images.
  nn::DataLoader named() const;
  /// Randomly chosen training images, not augmented.
  nn::DataLoader calibration(std::int64_t images) const;

  /// Throws Error unless the images fit the input and the task's classes the output of the graph.
  void check_fits(const Graph& graph) const;

  /// Says which folders training and test images come from, if the dataset is a folder; warns if
  /// test images are training images, too.
  void report_parts(const Console& console) const;

  /// With --skip-corrupt: says how many images the loaders (nullptr: none) left out, and sets
  /// "skipped".
  void report_skipped(std::initializer_list<const nn::DataLoader*> loaders, const Console& console,
                      Report& report) const;

 private:
  /// Returns a part of the dataset, opened when it is first asked for.
  const std::shared_ptr<const nn::Dataset>& open(Split split) const;
  /// Says what is wrong with the classes of a dataset; empty if nothing is.
  std::string misfit(const nn::Dataset& dataset) const;
  /// Returns a part of the dataset; throws Error if its labels mean nothing to the model.
  const std::shared_ptr<const nn::Dataset>& read(Split split) const;
  nn::DataLoader plain_loader(std::shared_ptr<const nn::Dataset> dataset) const;
  nn::OnError on_error() const;

  Task task_;
  DataOptions data_;
  RunOptions run_;
  Rng rng_;
  mutable std::map<Split, std::shared_ptr<const nn::Dataset>> datasets_;
};

}  // namespace rung::cli
