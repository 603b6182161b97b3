#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/datasets.h"
#include "rung/io/model_file.h"
#include "rung/ops/conv_choices.h"

namespace rung::cli {

/// What a model was made for: stored in its file, so that no later command has to be told again.
struct Task {
  std::string model;    ///< its name in rung::models
  std::string dataset;  ///< its name in rung::datasets
  std::int64_t num_classes = 0;
  std::vector<float> mean, std;     ///< per channel: images are normalized with them
  ConvChoices conv_choices{false};  ///< that --autotune made, in any of the runs so far
  std::optional<double> last_lr;    ///< learning rate in the middle of the last float epoch
};

/// Returns the task of a new model on a dataset.
Task make_task(const std::string& model, const datasets::DatasetInfo& dataset);

/// The section of a model file that the command line writes.
inline constexpr const char* kTaskSection = "task";

std::string to_json(const Task& task);
/// Returns the task of a model file; throws Error beginning with `path` if it has none or it is
/// damaged.
Task task_of(const io::ModelFile& file, const std::string& path);

}  // namespace rung::cli
