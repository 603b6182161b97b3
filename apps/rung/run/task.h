#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/datasets.h"
#include "rung/io/model_file.h"
#include "rung/ops/tuning.h"

namespace rung::cli {

/// Where the mean and the standard deviation that images are normalized with come from.
enum class Normalization {
  unknown,   ///< files of earlier versions do not say
  imagenet,  ///< ImageNet's, which pretrained models expect
  images,    ///< of the training images
  floats,    ///< none: arrays of floats are taken as they are
  given,     ///< the options --mean and --std
  none,      ///< none: the option --no-normalize
};

/// What a model was made for: stored in its file, so that no later command has to be told again.
struct Task {
  std::string model;    ///< its name in rung::models
  std::string dataset;  ///< its name in rung::datasets
  std::int64_t num_classes = 0;
  std::vector<float> mean, std;  ///< per channel: images are normalized with them
  Normalization normalization = Normalization::unknown;
  std::string statistics_of = {};  ///< whose mean and std those are; empty: the dataset's
  bool assumed = false;            ///< nobody said so: the network comes from elsewhere
  std::int64_t image_size = 0;     ///< height and width of what the model gets
  std::int64_t resize = 0;         ///< images of any size: shorter edge before the center crop
  std::vector<std::string> class_names = {};  ///< by label; empty: the classes are numbers
  ConvChoices conv_choices{false};            ///< that --autotune made, in any of the runs so far
  std::optional<double> last_lr;  ///< learning rate in the middle of the last float epoch
};

/// True for datasets whose images are of any size: they are resized and cropped for the model.
bool has_any_size(const datasets::DatasetInfo& dataset);

/// Returns the task of a new model on a dataset that has been looked into. `image_size` is that of
/// the model; 0: of the dataset's images.
Task make_task(const std::string& model, const datasets::DatasetInfo& dataset,
               std::int64_t image_size = 0);
/// Makes a task one for another dataset: what the model takes and gives stays, its classes and
/// normalization, too. Only arrays of floats are not normalized.
void set_dataset(Task& task, const datasets::DatasetInfo& dataset);

/// The section of a model file that the command line writes.
inline constexpr const char* kTaskSection = "task";

std::string to_json(const Task& task);
/// Returns the task of a model file; throws Error beginning with `path` if it has none or it is
/// damaged.
Task task_of(const io::ModelFile& file, const std::string& path);

}  // namespace rung::cli
