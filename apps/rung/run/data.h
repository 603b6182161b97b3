#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "console/console.h"
#include "console/report.h"
#include "run/options.h"
#include "run/preprocess.h"
#include "run/task.h"
#include "rung/core/rng.h"
#include "rung/graph/graph.h"
#include "rung/io/model_file.h"
#include "rung/nn/data.h"
#include "rung/nn/run_settings.h"

namespace rung::cli {

/// Makes the loaders of a task. Images are normalized as the task says; everything random comes
/// from the seed.
class Data {
 public:
  /// Changes the task's dataset to options.dataset unless that is empty, and its normalization to
  /// what the options say. Loaders throw Error if what the folder holds does not fit the task.
  Data(Task task, DataOptions data, RunOptions run);
  const Task& task() const { return task_; }
  /// Takes validation images from the training images, or from where the options say: to be called
  /// before what follows by commands that train. Throws Error if they do not fit the task.
  void divide();
  /// Returns what the options about images come to, for checkpoints: which ones train() delivers.
  nn::RunSettings settings() const;

  /// Training images, without those that are held out, for a graph: batch norms need more than one
  /// image, so that a last batch of one is left out, which is said.
  nn::DataLoader train(const Graph& graph, const Augmentation& augmentation,
                       const Console& console) const;
  /// What tells during training how good the model is; nothing if there are no such images.
  std::optional<nn::DataLoader> validation() const;
  nn::DataLoader test() const;
  /// Says why the labels of the images mean nothing to the model; empty if they do. Calibration
  /// goes without labels.
  std::string labels_unfit() const;
  /// The images that --data names: those of the part that the folder is, else the test images.
  nn::DataLoader named() const;
  /// The same whatever their labels mean to the model.
  nn::DataLoader named_without_labels() const;
  /// Returns the folder of those; empty if the dataset has fixed files.
  std::string named_folder() const;
  /// Randomly chosen training images, not augmented.
  nn::DataLoader calibration(std::int64_t images) const;

  /// Throws Error unless the images fit the input and the task's classes the output of the graph.
  void check_fits(const Graph& graph) const;

  /// Warns if the model has one class only.
  void warn_of_one_class() const;
  /// Warns as warn_of_one_class(). Says which folders training and test images come from, if the
  /// dataset is a folder, and where validation images come from; warns if test images are training
  /// images, too.
  void report_parts(const Console& console) const;

  /// With --skip-corrupt: says how many images the loaders (nullptr: none) left out, and sets
  /// "skipped".
  void report_skipped(std::initializer_list<const nn::DataLoader*> loaders, const Console& console,
                      Report& report) const;

 private:
  void check_sizes() const;
  /// Returns a part of the dataset, opened when it is first asked for.
  const std::shared_ptr<const nn::Dataset>& open(Split split) const;
  /// Says what is wrong with the classes of a dataset; empty if nothing is.
  std::string misfit(const nn::Dataset& dataset, const std::string& dir) const;
  /// Returns a part of the dataset; throws Error if its labels mean nothing to the model.
  const std::shared_ptr<const nn::Dataset>& read(Split split) const;
  nn::DataLoader plain_loader(std::shared_ptr<const nn::Dataset> dataset) const;
  nn::OnError on_error() const;

  Task task_;
  DataOptions data_;
  RunOptions run_;
  Rng rng_;
  mutable std::map<Split, std::shared_ptr<const nn::Dataset>> datasets_;
  std::shared_ptr<const nn::Dataset> training_images_, validation_images_;  // see divide()
  std::string validation_from_;  // which images those are, for people and checkpoints
};

/// What a command wants images for.
enum class Purpose { looking, measuring, calibrating, training };

/// Returns the images for the model of the file `path`, divided if it is for training. Says on the
/// console how they are prepared and, as the purpose needs it, where they come from. Throws Error
/// if the file does not say what the model is for, or they do not fit it.
Data data_for(const io::ModelFile& file, const std::string& path, Purpose purpose,
              const DataOptions& options, const RunOptions& run, const Console& console);

}  // namespace rung::cli
