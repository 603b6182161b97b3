#include "run/graph_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>
#include <vector>

#include "rung/core/error.h"
#include "rung/datasets.h"

namespace rung::cli {
namespace {

std::string shapes_of(std::span<Value* const> values) {
  std::vector<std::string> shapes;
  for (const Value* value : values) shapes.push_back(value->shape().to_string());
  return fmt::format("{}", fmt::join(shapes, " and "));
}

}  // namespace

Task task_of_graph(const Graph& graph, const std::string& path, const std::string& model,
                   const std::string& dataset_name, const NormalizeOptions& normalize) {
  datasets::DatasetInfo dataset = datasets::info(dataset_name);
  if (dataset.mean.empty() && !normalize.given())
    throw Error(dataset_name +
                ": only rung train can say what its images are like; else say it with --mean and "
                "--std, or --no-normalize");
  const auto inputs = graph.inputs(), outputs = graph.outputs();
  if (inputs.size() != 1 || outputs.size() != 1 || inputs[0]->shape().rank() != 4 ||
      outputs[0]->shape().rank() != 2)
    throw Error(
        fmt::format("{}: takes {} and gives {}; a classifier of images takes [N, C, H, W] "
                    "and gives [N, classes]",
                    path, shapes_of(inputs), shapes_of(outputs)));
  const Shape &input = inputs[0]->shape(), &output = outputs[0]->shape();
  Shape images = dataset.image_shape;
  if (images.rank() == 0) {  // arrays
    images = {input[1], input[2], input[3]};
    dataset.mean.assign(static_cast<std::size_t>(input[1]), 0.0f);
    dataset.std.assign(static_cast<std::size_t>(input[1]), 1.0f);
  }
  // Pictures are cut to this size, and made grey for a model of one channel.
  if (has_any_size(dataset)) images = {input[1] == 1 ? 1 : images[0], input[2], input[2]};
  if (dataset.classes == 0) dataset.classes = output[1];  // a look at files would tell
  if (input != Shape{input[0], images[0], images[1], images[2]} || output[1] != dataset.classes)
    throw Error(fmt::format("{}: takes {} and gives {}; {} has {} classes of images {}", path,
                            input.to_string(), output.to_string(), dataset_name, dataset.classes,
                            has_any_size(dataset) ? "[3, H, H]" : images.to_string()));
  Task task = make_task(model, dataset, input[2]);
  set_channels(task, input[1]);
  task.assumed = true;
  apply(normalize, task);
  return task;
}

}  // namespace rung::cli
